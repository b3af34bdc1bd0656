"""Faust gets the same broker settings as librdkafka."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal

import certifi
import pytest
from faust.types.auth import AuthProtocol
from pydantic import SecretStr

from sightstream.consumers.lookup.connection import broker_urls, credentials
from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.consumers.lookup.table import app_settings, instance_id
from sightstream.consumers.lookup.topics import TableTopics
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.tls import tls_context

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def kafka(security_protocol: Protocol, sasl_mechanism: Mechanism = "SCRAM-SHA-512") -> KafkaSettings:
    return KafkaSettings(
        security_protocol=security_protocol,
        sasl_mechanism=sasl_mechanism,
        sasl_username="me",
        sasl_password=SecretStr("pass"),
        ssl_ca_location=certifi.where(),
    )


def test_every_bootstrap_server() -> None:
    assert broker_urls(KafkaSettings(bootstrap_servers="a:1, b:2,[::1]:3")) == [
        "kafka://a:1",
        "kafka://b:2",
        "kafka://[::1]:3",
    ]


def test_plaintext_has_no_credentials() -> None:
    assert credentials(kafka(security_protocol="PLAINTEXT")) is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize(
    ("protocol", "expected"), [("SASL_SSL", AuthProtocol.SASL_SSL), ("SASL_PLAINTEXT", AuthProtocol.SASL_PLAINTEXT)]
)
def test_sasl(protocol: Protocol, expected: AuthProtocol, mechanism: Mechanism) -> None:
    given = credentials(kafka(security_protocol=protocol, sasl_mechanism=mechanism))
    assert given is not None
    assert given.protocol is expected
    assert (given.username, given.password, given.mechanism.value) == ("me", "pass", mechanism)
    assert "pass" not in repr(given)


def test_tls_verifies_the_broker_and_its_name() -> None:
    given = credentials(kafka(security_protocol="SSL"))
    assert given is not None
    assert given.protocol is AuthProtocol.SSL
    assert given.context.verify_mode is ssl.CERT_REQUIRED
    assert given.context.check_hostname


def test_authorities_may_stand_in_a_folder(tmp_path: Path) -> None:
    context = tls_context(KafkaSettings(ssl_ca_location=str(tmp_path)))
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_certificate_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        tls_context(KafkaSettings(ssl_certificate_location="/none.pem", ssl_key_location="/none.key"))


def test_fausts_own_pages_are_off_and_reading_starts_at_the_beginning() -> None:
    topics = TableTopics("results", "a", "changelog", "b", 3)
    given = app_settings(LookupSettings(), kafka("PLAINTEXT"), topics)
    assert given["web_enabled"] is False
    assert given["consumer_auto_offset_reset"] == "earliest"
    assert given["topic_partitions"] == 3


def test_the_identity_is_that_of_the_folder(tmp_path: Path) -> None:
    here, there = (LookupSettings(data_dir=tmp_path / name) for name in ("a", "b"))
    assert instance_id(here) == instance_id(LookupSettings(data_dir=tmp_path / "b" / ".." / "a"))
    assert instance_id(here) != instance_id(there)
