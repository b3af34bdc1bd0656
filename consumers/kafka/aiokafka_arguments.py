"""Translates the broker settings for aiokafka's own client, which speaks the requests that librdkafka lacks."""

from __future__ import annotations

from typing import Any

from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.tls import tls_context


def aiokafka_arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the arguments of `aiokafka.client.AIOKafkaClient`. They hold secrets: never log them."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",") if server.strip()],
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol in ("SSL", "SASL_SSL"):
        arguments["ssl_context"] = tls_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        password = kafka.sasl_password.get_secret_value() if kafka.sasl_password else None
        arguments["sasl_mechanism"] = kafka.sasl_mechanism
        arguments["sasl_plain_username"], arguments["sasl_plain_password"] = kafka.sasl_username, password
    return arguments
