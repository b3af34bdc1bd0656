"""A broker and a consumer that read from logs in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, Message, TopicPartition

from sightstream.consumers.kafka.broker import CommittedOffset, Membership, Replicas
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId


@dataclass(slots=True)
class FakeLog:
    """A partition: the records of a read_committed reader, as {offset: milliseconds}, up to `end`."""

    records: dict[int, int] = field(default_factory=dict)
    end: int = 0
    start: int = 0


def record(at: PartitionId, offset: int, ms: int, value: bytes = b"") -> Message:
    return Message(
        topic=at.topic, partition=at.partition, offset=offset, timestamp=(TIMESTAMP_CREATE_TIME, ms), value=value
    )


def end_of(at: PartitionId, offset: int) -> Message:
    error = KafkaError(KafkaError._PARTITION_EOF)
    return Message(topic=at.topic, partition=at.partition, offset=offset, error=error)


@dataclass(slots=True)
class FakeConsumer:
    """Reads from the logs, each record with `value`. `polls` counts; a `silent` one never returns anything."""

    logs: dict[PartitionId, FakeLog]
    silent: bool = False
    polls: int = 0
    value: bytes = b""
    unread: dict[PartitionId, Iterator[Message]] = field(default_factory=dict)
    paused: set[PartitionId] = field(default_factory=set)  # outlives an assignment, as in librdkafka

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.unread = {PartitionId(p.topic, p.partition): self._messages(p) for p in partitions}

    def _messages(self, assigned: TopicPartition) -> Iterator[Message]:
        at = PartitionId(assigned.topic, assigned.partition)
        log = self.logs[at]
        offsets = sorted(log.records)
        for offset in offsets[bisect_left(offsets, assigned.offset) :]:
            yield record(at, offset, log.records[offset], self.value)
        yield end_of(at, log.end)

    def unassign(self) -> None:
        self.unread.clear()

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {PartitionId(p.topic, p.partition) for p in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {PartitionId(p.topic, p.partition) for p in partitions}

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> None:
        pass

    def poll(self, timeout: float) -> Message | None:
        """Return the next message of the first partition that has one."""
        self.polls += 1
        while self.unread and not self.silent:
            at = next(iter(self.unread))
            message = None if at in self.paused else next(self.unread[at], None)
            if message is not None:
                return message
            del self.unread[at]
        return None

    def close(self) -> None:
        pass


@dataclass(slots=True)
class FakeBroker:
    """Answers from the logs, and from the offsets and memberships that a test puts in; `asked` keeps the order."""

    logs: dict[PartitionId, FakeLog]
    offsets: dict[str, dict[PartitionId, CommittedOffset]] = field(default_factory=dict)
    membership_of: dict[str, Membership] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    replicas_of: dict[PartitionId, Replicas] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)  # groups
    unstable: dict[PartitionId, int] = field(default_factory=dict)  # offsets of open transactions

    def partitions(self, topics: Collection[str]) -> list[PartitionId]:
        return sorted(partition for partition in self.logs if partition.topic in topics)

    def replicas(self, topics: Collection[str]) -> dict[PartitionId, Replicas]:
        return {at: self.replicas_of.get(at, Replicas(1, (1,), (1,))) for at in self.partitions(topics)}

    def groups(self) -> list[str]:
        return sorted(self.offsets)

    def committed(self, group_id: str) -> dict[PartitionId, CommittedOffset]:
        self.asked.append("committed")
        if group_id in self.forbidden:
            raise KafkaReadError(f"{group_id}: not authorized")
        return self.offsets.get(group_id, {})

    def membership(self, group_id: str) -> Membership:
        return self.membership_of.get(group_id, Membership((), {}))

    def stable_ends(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        self.asked.append("ends")
        return {partition: self.logs[partition].end for partition in partitions}

    def ends(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        return {partition: self.logs[partition].end + self.unstable.get(partition, 0) for partition in partitions}

    def starts(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        return {partition: self.logs[partition].start for partition in partitions}
