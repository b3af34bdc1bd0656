"""Reads the records that are left in a partition: an offset can be a transaction marker, so only reading tells."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka import Consumer as KafkaConsumer

from sightstream.consumers.kafka.message import partition_of, record_id
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings

_NEVER_MS = 2**53  # since 1970: no record is as late


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets [`start`, `end`) to look at, without those in `finished`.

    With `count` it is read to its end, otherwise only to the first record that is not finished.
    """

    start: int
    end: int
    finished: Container[int]
    count: bool


@dataclass(slots=True)
class Tail:
    """The unfinished records of a span. `records` counts the records read so far, and is final once `complete`.

    `first_offset` and `first_ms` (milliseconds since 1970) belong to the oldest one. `bytes` is the size of all values
    that were read for it, those of finished records included.
    """

    records: int = 0
    complete: bool = False
    first_offset: int | None = None
    first_ms: int | None = None
    bytes: int = 0


class TailConsumer(Protocol):
    """The part that is used here of a read_committed confluent_kafka.Consumer with `enable.partition.eof`."""

    def assign(self, partitions: list[TopicPartition]) -> None: ...
    def unassign(self) -> None: ...
    def pause(self, partitions: list[TopicPartition]) -> None: ...
    def resume(self, partitions: list[TopicPartition]) -> None: ...
    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> object: ...
    def poll(self, timeout: float) -> Message | None: ...
    def close(self) -> None: ...


def open_tail_consumer(kafka: KafkaSettings) -> TailConsumer:
    """Return a consumer for `read_tails`, which connects at the first reading."""
    return KafkaConsumer(
        kafka.client_config()
        | {
            "group.id": "sightstream-tail",  # the client requires one; nothing is ever committed under it
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
            # Only the first records count: don't fetch megabytes to look at one timestamp.
            "max.partition.fetch.bytes": 128 * 1024,
            "queued.min.messages": 100,
            "queued.max.messages.kbytes": 4096,
            "fetch.queue.backoff.ms": 10,  # a full queue is read within milliseconds; the client would wait a second
        },
        logger=client_logger(__name__),
    )


class OffsetSource(Protocol):
    """The part of `Broker` that knows where partitions start and end. Raises KafkaReadError."""

    def starts(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]: ...
    def stable_ends(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]: ...


def find_record(
    offsets: OffsetSource, consumer: TailConsumer, partitions: list[PartitionId], timeout_s: float
) -> PartitionId | None:
    """Return a partition that holds a committed record, None when all are empty but for markers and aborted records.

    Raises KafkaReadError, also when that could not be found out in time.
    """
    starts, ends = offsets.starts(partitions), offsets.stable_ends(partitions)
    spans = {at: Span(starts[at], ends[at], (), count=False) for at in partitions if starts[at] < ends[at]}
    tails = read_tails(consumer, spans, timeout_s)
    for partition, tail in tails.items():
        if tail.records:
            return partition
    if unread := [partition for partition, tail in tails.items() if not tail.complete]:
        raise KafkaReadError(f"{unread[0].topic}/{unread[0].partition} could not be read within {timeout_s:g} s")
    return None


def read_tails(
    consumer: TailConsumer,
    spans: Mapping[PartitionId, Span],
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    max_bytes: int | None = None,
) -> dict[PartitionId, Tail]:
    """Read each span until enough is known; after `timeout_s` or `max_bytes` return what is known so far.

    Raises KafkaReadError.
    """
    tails = {partition: Tail() for partition in spans}
    if not spans:
        return tails
    unread = set(spans)
    deadline, bytes_left = clock() + timeout_s, math.inf if max_bytes is None else max_bytes
    partitions = [TopicPartition(*partition, span.start) for partition, span in spans.items()]
    consumer.assign(partitions)
    try:
        consumer.resume(partitions)  # the client keeps a pause over a new assignment
        _wake(consumer, partitions)
        while unread and bytes_left >= 0 and clock() < deadline:
            message = consumer.poll(0.1)
            if message is not None:
                bytes_left -= len(message)
                _handle(message, spans, tails, unread, consumer)
    except KafkaException as error:
        raise KafkaReadError(f"records can't be read: {error.args[0].str()}") from None
    finally:
        consumer.unassign()
    return tails


def _wake(consumer: TailConsumer, partitions: list[TopicPartition]) -> None:
    """Make the client fetch now.

    Its threads, one for each broker, look for new assignments once a second or when there is a request to send. This is
    one; the answer does not matter.
    """
    with suppress(KafkaException):
        consumer.offsets_for_times([TopicPartition(p.topic, p.partition, _NEVER_MS) for p in partitions], 1.0)


def _handle(
    message: Message,
    spans: Mapping[PartitionId, Span],
    tails: dict[PartitionId, Tail],
    unread: set[PartitionId],
    consumer: TailConsumer,
) -> None:
    partition = partition_of(message)
    if partition is None or partition not in unread:
        return
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        return  # the client tries again until the deadline
    if error is None and _read(message, spans[partition], tails[partition]):
        return
    unread.discard(partition)
    tails[partition].complete = error is not None or tails[partition].complete
    consumer.pause([TopicPartition(*partition)])


def _read(message: Message, span: Span, tail: Tail) -> bool:
    """Add one record to `tail` and return whether more has to be read."""
    offset = record_id(message).offset
    tail.bytes += len(message)
    if offset >= span.end:
        tail.complete = True
        return False
    if offset not in span.finished:
        tail.records += 1
        if tail.first_offset is None:
            kind, at_ms = message.timestamp()
            tail.first_offset = offset
            tail.first_ms = None if kind == TIMESTAMP_NOT_AVAILABLE else at_ms
    if offset == span.end - 1:
        tail.complete = True
        return False
    return span.count or tail.first_offset is None
