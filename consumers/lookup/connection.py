"""Translates the broker settings of librdkafka for Faust and aiokafka."""

from __future__ import annotations

import ssl
from pathlib import Path

import faust

from sightstream.schemas.connections.kafka import KafkaSettings


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


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """Return a context that verifies the broker's certificate and host name and shows ours where one is set."""
    authority = Path(kafka.ssl_ca_location) if kafka.ssl_ca_location else None
    context = ssl.create_default_context(
        cafile=str(authority) if authority and not authority.is_dir() else None,
        capath=str(authority) if authority and authority.is_dir() else None,
    )
    if kafka.ssl_certificate_location:
        password = kafka.ssl_key_password.get_secret_value() if kafka.ssl_key_password else None
        context.load_cert_chain(kafka.ssl_certificate_location, kafka.ssl_key_location, password)
    return context
