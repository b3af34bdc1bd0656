"""A broker and a consumer that read from logs in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, Message, TopicPartition

from sightstream.consumers.kafka.broker import CommittedOffset, Membership
from sightstream.consumers.kafka.types import PartitionId


@dataclass(slots=True)
class FakeLog:
    """A partition: the records of a read_committed reader, as {offset: milliseconds}, up to `end`."""

    records: dict[int, int] = field(default_factory=dict)
    end: int = 0
    start: int = 0


def record(at: PartitionId, offset: int, ms: int) -> Message:
    return Message(
        topic=at.topic, partition=at.partition, offset=offset, timestamp=(TIMESTAMP_CREATE_TIME, ms), value=b""
    )


def end_of(at: PartitionId, offset: int) -> Message:
    error = KafkaError(KafkaError._PARTITION_EOF)
    return Message(topic=at.topic, partition=at.partition, offset=offset, error=error)


@dataclass(slots=True)
class FakeConsumer:
    """Reads from the logs. `polls` counts the polls; a `silent` one never returns anything."""

    logs: dict[PartitionId, FakeLog]
    silent: bool = False
    polls: int = 0
    queue: deque[Message] = field(default_factory=deque)
    paused: set[tuple[str | None, int | None]] = field(default_factory=set)  # outlives an assignment, as in librdkafka

    def assign(self, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            at = PartitionId(p.topic, p.partition)
            log = self.logs[at]
            self.queue += (record(at, offset, ms) for offset, ms in sorted(log.records.items()) if offset >= p.offset)
            self.queue.append(end_of(at, log.end))

    def unassign(self) -> None:
        self.queue.clear()

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {(p.topic, p.partition) for p in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {(p.topic, p.partition) for p in partitions}

    def poll(self, timeout: float) -> Message | None:
        self.polls += 1
        self.queue = deque(m for m in self.queue if (m.topic(), m.partition()) not in self.paused)
        return self.queue.popleft() if self.queue and not self.silent else None

    def close(self) -> None:
        pass


@dataclass(slots=True)
class FakeBroker:
    """Answers from the logs, and from the offsets and memberships that a test puts in; `asked` keeps the order."""

    logs: dict[PartitionId, FakeLog]
    offsets: dict[str, dict[PartitionId, CommittedOffset]] = field(default_factory=dict)
    membership_of: dict[str, Membership] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def partitions(self, topics: Collection[str]) -> list[PartitionId]:
        return sorted(partition for partition in self.logs if partition.topic in topics)

    def committed(self, group_id: str) -> dict[PartitionId, CommittedOffset]:
        self.asked.append("committed")
        return self.offsets.get(group_id, {})

    def membership(self, group_id: str) -> Membership:
        return self.membership_of.get(group_id, Membership((), {}))

    def stable_ends(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        self.asked.append("ends")
        return {partition: self.logs[partition].end for partition in partitions}

    def starts(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        return {partition: self.logs[partition].start for partition in partitions}
