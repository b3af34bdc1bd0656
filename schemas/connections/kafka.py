"""Turns the settings of the broker into configurations of librdkafka clients."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES, PARTITIONER

# A reader gets whole batches, and other partitions wait behind each: with librdkafka's default of 1 MB thousands of
# requests of one partition would go before all others. Java's clients have batches of 16 KiB.
BATCH_BYTES = 64 * 1024


class KafkaSettings(BaseSettings):
    """The broker's address, and how clients authenticate: plain, TLS, mutual TLS, SASL over TLS."""

    # An error about several fields would show them all, the password included.
    model_config = SettingsConfigDict(
        env_prefix="SIGHTSTREAM_KAFKA_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    bootstrap_servers: str = Field(
        default="127.0.0.1:9092",
        description="Addresses of some brokers, as host:port, comma-separated; clients learn the others from them. "
        "The default is a broker on this machine; name two or three brokers of a cluster.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="Protocol of the connection: SSL is TLS, also with a client certificate, and SASL_SSL is a "
        "password over TLS. The default neither encrypts nor authenticates; change it for a broker on another machine.",
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512",
        description="How the password is proven with SASL_PLAINTEXT and SASL_SSL; set what the broker has enabled.",
    )
    sasl_username: str | None = Field(
        default=None, description="User name for SASL; set it with SASL_PLAINTEXT and SASL_SSL, unset by default."
    )
    sasl_password: SecretStr | None = Field(
        default=None,
        description="Password for SASL, unset by default; set it in the environment rather than in a file.",
    )
    ssl_ca_location: str | None = Field(
        default=None,
        description="PEM file of the authorities that sign the brokers' certificates; unset, the system's own are "
        "trusted. Set it for a private authority.",
    )
    ssl_certificate_location: str | None = Field(
        default=None,
        description="PEM file of this client's certificate; unset, none is shown. Set it where brokers require mutual "
        "TLS.",
    )
    ssl_key_location: str | None = Field(
        default=None,
        description="PEM file of the private key of this client's certificate; set it together with "
        "ssl_certificate_location, unset by default.",
    )
    ssl_key_password: SecretStr | None = Field(
        default=None,
        description="Password of the private key file, unset by default; set it where that file is encrypted.",
    )

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(
                f"security_protocol {self.security_protocol} needs sasl_username and sasl_password: set "
                "SIGHTSTREAM_KAFKA_SASL_USERNAME and SIGHTSTREAM_KAFKA_SASL_PASSWORD"
            )
        return self

    def client_config(self) -> dict[str, str | int | float | bool]:
        """Return what consumers, producers and admin clients share. It holds secrets: never log it."""
        config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            config["sasl.mechanism"] = self.sasl_mechanism
        optional = {
            "sasl.username": self.sasl_username,
            "sasl.password": _reveal(self.sasl_password),
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
            "ssl.key.password": _reveal(self.ssl_key_password),
        }
        return config | {name: value for name, value in optional.items() if value is not None}

    def producer_config(self) -> dict[str, str | int | float | bool]:
        """Return what every producer shares: acknowledged by all replicas, idempotent, keys partitioned by murmur2."""
        return self.client_config() | {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": PARTITIONER,
            "message.max.bytes": MAX_OUTCOME_RECORD_BYTES,
            "batch.size": BATCH_BYTES,
        }


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
