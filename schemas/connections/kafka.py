"""How every room reaches the broker: settings in, librdkafka client configuration out."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES, PARTITIONER


class KafkaSettings(BaseSettings):
    """The broker's address and how to prove who we are: plain, TLS, mTLS, SASL over TLS."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_KAFKA_", frozen=True, extra="forbid")

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = None
    ssl_certificate_location: str | None = None
    ssl_key_location: str | None = None
    ssl_key_password: SecretStr | None = None

    def client_config(self) -> dict[str, str | int | float | bool]:
        """Settings that a consumer, a producer and an admin client share. Holds secrets: never log it."""
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
        """What every producer of ours sets: acknowledged by all replicas, idempotent, keys placed by murmur2."""
        return self.client_config() | {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": PARTITIONER,
            "message.max.bytes": MAX_OUTCOME_RECORD_BYTES,
        }


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
