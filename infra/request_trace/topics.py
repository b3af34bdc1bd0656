"""Reads the partitions in which a request can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.message import headers_of, record_id
from sightstream.consumers.kafka.span_reader import OffsetSpan, read_spans
from sightstream.consumers.kafka.tail import TailConsumer
from sightstream.consumers.kafka.types import PartitionId
from sightstream.infra.request_trace.types import Reading
from sightstream.schemas.wire.dead_letter import Headers, RecordId


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """A committed record with its time. `headers` is empty where a name is not UTF-8."""

    at: RecordId
    time: datetime | None
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def where(self) -> str:
        return f"{self.at.topic}/{self.at.partition}/{self.at.offset}"


class TopicSource(Protocol):
    """Reads topics. Both raise KafkaReadError, `readings` MissingTopic where there is no such topic."""

    def readings(self, topic: str, key: bytes | None, since: datetime | None) -> list[Reading]:
        """Return what to read of a topic: the partition of `key`, or all; from `since` on, or all that is there."""

    def read(self, readings: Sequence[Reading]) -> Iterator[TopicRecord]:
        """Yield the records, and count them."""


class KafkaTopicSource:
    """Implements TopicSource."""

    def __init__(self, broker: Broker, consumer: TailConsumer) -> None:
        self._broker, self._consumer = broker, consumer

    def readings(self, topic: str, key: bytes | None, since: datetime | None) -> list[Reading]:
        partitions = self._broker.partitions([topic])
        if key is not None and (number := partition_of_key(key, len(partitions))) is not None:
            partitions = [partition for partition in partitions if partition.partition == number]
        ends, earliest = self._broker.stable_ends(partitions), self._broker.starts(partitions)
        starts = dict(earliest)
        if since is not None:
            at_time = self._broker.offsets_at(partitions, round(since.timestamp() * 1000))
            starts = {at: at_time[at] if at_time[at] >= 0 else ends[at] for at in partitions}
        return [Reading(at, earliest[at], max(earliest[at], starts[at]), ends[at]) for at in partitions]

    def read(self, readings: Sequence[Reading]) -> Iterator[TopicRecord]:
        by_partition = {reading.partition: reading for reading in readings}
        spans = {at: OffsetSpan(reading.start, reading.end) for at, reading in by_partition.items()}
        for message in read_spans(self._consumer, spans):
            record = _record(message)
            reading = by_partition[PartitionId(record.at.topic, record.at.partition)]
            reading.records += 1
            reading.oldest = reading.oldest or record.time
            yield record


def partition_of_key(key: bytes, partitions: int) -> int | None:
    """Return where every producer puts this key (murmur2), None where no library here can tell."""
    with suppress(ImportError):  # it comes with the extras of worker and lookup
        from aiokafka.partitioner import murmur2

        return int((murmur2(key) & 0x7FFFFFFF) % partitions)
    return None


def _record(message: Message) -> TopicRecord:
    kind, ms = message.timestamp()
    time = None if kind == TIMESTAMP_NOT_AVAILABLE else datetime.fromtimestamp(ms / 1000, UTC)
    return TopicRecord(record_id(message), time, message.key(), message.value(), headers_of(message) or [])
