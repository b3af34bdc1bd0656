"""Counts the bytes of a record as Kafka's clients do, framing included."""

from __future__ import annotations

from sightstream.schemas.wire.dead_letter import Headers

# Lengths, timestamp and offset are variable-length integers of up to 5 and 10 bytes; a client counts the longest.
RECORD_FRAMING_BYTES = 64
HEADER_FRAMING_BYTES = 10


def record_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Return the most bytes that the record can have uncompressed; no client counts more."""
    return RECORD_FRAMING_BYTES + len(key or b"") + len(value or b"") + headers_bytes(headers)


def headers_bytes(headers: Headers) -> int:
    """Return the most bytes that the headers can have."""
    return sum(HEADER_FRAMING_BYTES + _utf8_bytes(name) + len(value or b"") for name, value in headers)


def _utf8_bytes(name: str) -> int:
    return len(name) if name.isascii() else len(name.encode())
