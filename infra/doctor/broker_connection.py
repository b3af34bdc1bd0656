"""Connects to the broker, and names what fails: librdkafka itself would go on trying for ever."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from sightstream.infra.doctor.types import Finding
from sightstream.schemas.connections.kafka import KafkaSettings

CONNECT_TIMEOUT_S = 10.0
DIAL_TIMEOUT_S = 3.0
POLL_S = 0.2
# After a refusal it is of no use to wait; the others may pass while a broker starts.
_FINAL = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE)

ClientConfig = dict[str, str | int | float | bool]


def connect(kafka: KafkaSettings, clock: Callable[[], float] = time.monotonic) -> AdminClient | Finding:
    """Return a client that has reached the broker, or why none can. Blocks for CONNECT_TIMEOUT_S at most."""
    errors: list[KafkaError] = []
    silent = logging.getLogger(f"{__name__}.silent")
    silent.disabled = True  # the finding says it
    config = kafka.client_config() | {"socket.timeout.ms": 5000, "error_cb": errors.append}
    try:
        admin = AdminClient(cast("ClientConfig", config), logger=silent)
    except KafkaException as error:
        return Finding("broker-settings", f"[kafka] can't be used: {error.args[0].str()}; correct the setting it names")
    deadline = clock() + CONNECT_TIMEOUT_S
    while not any(error.code() in _FINAL for error in errors) and clock() < deadline:
        try:
            brokers = admin.list_topics(timeout=POLL_S).brokers.values()
            wrong = list(unreachable_addresses((broker.host or "", broker.port) for broker in brokers))
            return wrong[0] if wrong and len(wrong) == len(brokers) else admin
        except KafkaException as error:
            errors.append(error.args[0])
        admin.poll(POLL_S)  # hands the reasons over
    is_listening = any(_is_listening(server) for server in kafka.bootstrap_servers.split(","))
    return unreached(kafka.bootstrap_servers, [(error.code(), error.str()) for error in errors], is_listening)


def unreachable_addresses(
    addresses: Iterable[tuple[str, int]], dial: Callable[[tuple[str, int], float], socket.socket] | None = None
) -> Iterator[Finding]:
    """Dial each address that the brokers say is theirs: clients use those, and not the ones they began with."""
    for host, port in addresses:
        try:
            (dial or socket.create_connection)((host, port), DIAL_TIMEOUT_S).close()
        except OSError as error:
            yield Finding(
                "broker-address",
                f"the broker tells its clients to use {host}:{port}, which can't be reached from here "
                f"({error.strerror or error}); correct the broker's advertised.listeners",
            )


def _is_listening(server: str) -> bool:
    host, _, port = server.strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), DIAL_TIMEOUT_S).close()
    except (OSError, ValueError):
        return False
    return True


def unreached(servers: str, errors: list[tuple[int, str]], is_listening: bool) -> Finding:
    """Return the finding that the clients' errors, as code and text, speak of.

    `is_listening` says that something accepts connections at one of the addresses.
    """
    for code, finding, advice in _CAUSES:
        for found, text in errors:
            if found == code and (finding != "broker-protocol" or _speaks_of_protocol(text)):
                is_certificate = finding != "broker-certificate" or "certificate" in text.lower()
                kind, what = (finding, advice) if is_certificate else ("broker-protocol", _PROTOCOL)
                return Finding(kind, f"{servers}: {text}; {what}")
    text = next((text for code, text in errors if code != KafkaError._TIMED_OUT), "nothing answers there")
    if is_listening:
        return Finding("broker-protocol", f"{servers}: something listens there, but {text}; {_PROTOCOL}")
    return Finding(
        "broker-unreachable",
        f"{servers}: {text}; start the broker, or set [kafka] bootstrap_servers to addresses that can be reached from "
        f"this machine (a firewall may be between)",
    )


_PROTOCOL = "set [kafka] security_protocol to that of the listener behind this port"
_CAUSES = (
    (KafkaError._AUTHENTICATION, "broker-credentials",
     "set [kafka] sasl_username, sasl_password and sasl_mechanism to those of a user of the broker"),
    (KafkaError._SSL, "broker-certificate",
     "set [kafka] ssl_ca_location to the authority that signed the broker's certificate, and the client's certificate "
     "and key where the listener asks for one"),
    (KafkaError._RESOLVE, "broker-name", "correct the host name in [kafka] bootstrap_servers, or the name server"),
    (KafkaError._TRANSPORT, "broker-protocol", _PROTOCOL),
)  # fmt: skip


def _speaks_of_protocol(text: str) -> bool:
    return "security.protocol" in text or "Disconnected" in text
