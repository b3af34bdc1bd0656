"""Makes the TLS context of Kafka clients that are not librdkafka, from the same settings."""

from __future__ import annotations

import ssl
from pathlib import Path

from sightstream.schemas.connections.kafka import KafkaSettings


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
