"""What is really left in a partition: an offset can be a transaction marker, so only reading tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Consumer as KafkaConsumer

from sightstream.consumers.lag.types import LagError, Place
from sightstream.schemas.connections.kafka import KafkaSettings


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets [`start`, `end`) of which those in `finished` don't count. `count`: to the end, not just to the first."""

    start: int
    end: int
    finished: Container[int]
    count: bool


@dataclass(slots=True)
class Tail:
    """What was found. `records` counts what was read; it is all there is once `whole` is true.

    `first_offset` and `first_ms` (milliseconds since 1970) are of the oldest record that counts.
    """

    records: int = 0
    whole: bool = False
    first_offset: int | None = None
    first_ms: int | None = None


class Message(Protocol):
    def error(self) -> KafkaError | None: ...
    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def timestamp(self) -> tuple[int, int]: ...


class Consumer(Protocol):
    """What is used of a read_committed confluent_kafka.Consumer with `enable.partition.eof`."""

    def assign(self, partitions: list[TopicPartition]) -> None: ...
    def unassign(self) -> None: ...
    def pause(self, partitions: list[TopicPartition]) -> None: ...
    def resume(self, partitions: list[TopicPartition]) -> None: ...
    def poll(self, timeout: float) -> Message | None: ...
    def close(self) -> None: ...


def open_tail_consumer(kafka: KafkaSettings) -> Consumer:
    """For `read_tails`; connects on the first reading."""
    return KafkaConsumer(
        kafka.client_config()
        | {
            "group.id": "sightstream-tail",  # asked for by the client; nothing is ever committed under it
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
            # Only the first records count: don't fetch megabytes to look at one timestamp.
            "max.partition.fetch.bytes": 128 * 1024,
            "queued.min.messages": 100,
            "queued.max.messages.kbytes": 4096,
        }
    )


def read_tails(
    consumer: Consumer,
    spans: Mapping[Place, Span],
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> dict[Place, Tail]:
    """Reads each span until it knows enough; after `timeout_seconds` what is known so far. Raises LagError."""
    tails = {place: Tail() for place in spans}
    if not spans:
        return tails
    open_places = set(spans)
    deadline = clock() + timeout_seconds
    partitions = [TopicPartition(*place, span.start) for place, span in spans.items()]
    consumer.assign(partitions)
    try:
        consumer.resume(partitions)  # the client keeps a pause over a new assignment
        while open_places and clock() < deadline:
            message = consumer.poll(0.1)
            if message is not None:
                _take(message, spans, tails, open_places, consumer)
    except KafkaException as error:
        raise LagError(f"records can't be read: {error.args[0].str()}") from None
    finally:
        consumer.unassign()
    return tails


def _take(
    message: Message, spans: Mapping[Place, Span], tails: dict[Place, Tail], open_places: set[Place], consumer: Consumer
) -> None:
    place = (message.topic() or "", message.partition() or 0)
    if place not in open_places:
        return
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        return  # the client tries again until the deadline
    if error is None and _read(message, spans[place], tails[place]):
        return
    open_places.discard(place)
    tails[place].whole = error is not None or tails[place].whole
    consumer.pause([TopicPartition(*place)])


def _read(message: Message, span: Span, tail: Tail) -> bool:
    """Whether more has to be read."""
    offset = message.offset() or 0
    if offset >= span.end:
        tail.whole = True
        return False
    if offset not in span.finished:
        tail.records += 1
        if tail.first_offset is None:
            kind, at_ms = message.timestamp()
            tail.first_offset = offset
            tail.first_ms = None if kind == TIMESTAMP_NOT_AVAILABLE else at_ms
    return span.count or tail.first_offset is None
