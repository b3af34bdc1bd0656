"""Settings in, librdkafka configuration out: plain, TLS, mTLS, SASL over TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer
from pydantic import SecretStr, ValidationError

from sightstream.schemas.connections.kafka import KafkaSettings

PASSWORD = "c4n4ry-password"


def test_plain_by_default() -> None:
    assert KafkaSettings(bootstrap_servers="a:1").client_config() == {
        "bootstrap.servers": "a:1",
        "security.protocol": "PLAINTEXT",
    }


def test_sasl_over_tls() -> None:
    settings = KafkaSettings(
        bootstrap_servers="a:1,b:2",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_username="shop",
        sasl_password=SecretStr(PASSWORD),
        ssl_ca_location="/etc/ca.pem",
    )
    assert settings.client_config() == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "shop",
        "sasl.password": PASSWORD,
        "ssl.ca.location": "/etc/ca.pem",
    }


def test_mutual_tls() -> None:
    settings = KafkaSettings(
        security_protocol="SSL",
        ssl_certificate_location="/etc/shop.pem",
        ssl_key_location="/etc/shop.key",
        ssl_key_password=SecretStr(PASSWORD),
    )
    config = settings.client_config()
    assert config["ssl.certificate.location"] == "/etc/shop.pem"
    assert config["ssl.key.location"] == "/etc/shop.key"
    assert config["ssl.key.password"] == PASSWORD
    assert not any(name.startswith("sasl") for name in config)


def test_every_producer_waits_for_all_replicas_is_idempotent_and_partitions_by_murmur2() -> None:
    config = KafkaSettings().producer_config()
    assert (config["acks"], config["enable.idempotence"], config["partitioner"]) == ("all", True, "murmur2_random")


def test_secrets_never_print() -> None:
    settings = KafkaSettings(sasl_password=SecretStr(PASSWORD), ssl_key_password=SecretStr(PASSWORD))
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert PASSWORD not in text


def test_an_unknown_protocol_is_refused_without_repeating_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTSTREAM_KAFKA_SASL_PASSWORD", PASSWORD)
    with pytest.raises(ValidationError) as caught:
        KafkaSettings(security_protocol="TLS")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("given", [{"sasl_username": "shop"}, {"sasl_password": SecretStr(PASSWORD)}, {}])
def test_a_password_that_is_missing_is_one_sentence(given: dict[str, object]) -> None:
    with pytest.raises(
        ValidationError, match="set SIGHTSTREAM_KAFKA_SASL_USERNAME and SIGHTSTREAM_KAFKA_SASL"
    ) as caught:
        KafkaSettings.model_validate({"security_protocol": "SASL_SSL", **given})
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_librdkafka_accepts_our_configuration(protocol: str, mechanism: str, tmp_path: Path) -> None:
    settings = KafkaSettings(
        bootstrap_servers="127.0.0.1:1",
        security_protocol=protocol,
        sasl_mechanism=mechanism,
        sasl_username="shop",
        sasl_password=SecretStr(PASSWORD),
        ssl_ca_location=str(_certificate(tmp_path)),
    )
    Producer(settings.producer_config() | {"log_level": 0})


def test_librdkafka_refuses_a_missing_authority() -> None:
    settings = KafkaSettings(security_protocol="SSL", ssl_ca_location="/nowhere/ca.pem")
    with pytest.raises(KafkaException, match=r"ca\.location"):
        Producer(settings.producer_config())


def _certificate(folder: Path) -> Path:
    """A self-signed certificate, so that librdkafka has a real one to load."""
    path = folder / "ca.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subjects = ["-subj", "/CN=test", "-days", "1", "-keyout", str(folder / "ca.key"), "-out", str(path)]
    subprocess.run([*command, *subjects], check=True, capture_output=True)
    return path
