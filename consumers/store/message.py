"""A message of confluent_kafka as the store's Record."""

from __future__ import annotations

from typing import Protocol

from confluent_kafka import KafkaError

from sightstream.consumers.store.rows import Record
from sightstream.schemas.wire.dead_letter import Headers


class Message(Protocol):
    """What the store uses of confluent_kafka.Message."""

    def error(self) -> KafkaError | None: ...
    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...


def record_of(message: Message) -> Record:
    """`message` must carry no error."""
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=message.headers() or [],
    )
