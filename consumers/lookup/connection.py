"""Translates the broker settings of librdkafka for Faust and aiokafka."""

from __future__ import annotations

import faust

from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.tls import tls_context


def broker_urls(kafka: KafkaSettings) -> list[str]:
    """Return one URL for each bootstrap server."""
    servers = [server.strip() for server in kafka.bootstrap_servers.split(",") if server.strip()]
    return [f"kafka://{server}" for server in servers]


def credentials(kafka: KafkaSettings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """Return Faust's credentials, None for plaintext."""
    context = tls_context(kafka) if kafka.security_protocol in ("SSL", "SASL_SSL") else None
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,  # without one, Faust would speak plaintext
        )
    return faust.SSLCredentials(context) if context else None
