"""A consumer that plays a script, in place of confluent_kafka.Consumer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, Message, TopicPartition

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.follower import RebalanceCallback
from sightstream.schemas.wire.dead_letter import Headers


def record(
    at: PartitionId,
    offset: int,
    content: tuple[bytes | None, bytes | None, Headers | None] = (None, None, None),
    epoch: int | None = None,
) -> Message:
    """A record with key, value and headers."""
    key, value, headers = content
    kept: list[tuple[str, str | bytes | None]] | None = None if headers is None else [*headers]
    timestamp = (TIMESTAMP_CREATE_TIME, 1000 + offset)
    if epoch is None:
        return Message(at.topic, at.partition, offset, key, value, kept, timestamp=timestamp)
    return Message(at.topic, at.partition, offset, key, value, kept, timestamp=timestamp, leader_epoch=epoch)


def problem(at: PartitionId, offset: int, code: int) -> Message:
    return Message(topic=at.topic, partition=at.partition, offset=offset, error=KafkaError(code))


def end(at: PartitionId, offset: int) -> Message:
    return problem(at, offset, KafkaError._PARTITION_EOF)


@dataclass(slots=True)
class FakeConsumer:
    """Each step of `script` is one poll: a message, None, or something to call with this consumer."""

    script: list[Message | Callable[[FakeConsumer], None] | None]
    watermarks: dict[PartitionId, tuple[int, int]] = field(default_factory=dict)
    assigned: dict[PartitionId, int] = field(default_factory=dict)
    committed: dict[PartitionId, int] = field(default_factory=dict)
    held: dict[PartitionId, int] = field(default_factory=dict)  # the assignment at the time it was closed
    closed: bool = False
    starts: list[int] = field(default_factory=list)  # of every assignment
    callbacks: dict[str, RebalanceCallback] = field(default_factory=dict)

    def subscribe(
        self,
        topics: list[str],
        on_assign: RebalanceCallback,
        on_revoke: RebalanceCallback,
        on_lost: RebalanceCallback,
    ) -> None:
        self.callbacks = {"on_assign": on_assign, "on_revoke": on_revoke, "on_lost": on_lost}

    def poll(self, timeout: float) -> Message | None:
        step = self.script.pop(0) if self.script else None
        if step is None or isinstance(step, Message):
            return step
        step(self)
        return None

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned |= {PartitionId(p.topic, p.partition): p.offset for p in partitions}
        self.starts += [p.offset for p in partitions]

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            del self.assigned[PartitionId(p.topic, p.partition)]

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        return self.watermarks[PartitionId(partition.topic, partition.partition)]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.committed |= {PartitionId(p.topic, p.partition): p.offset for p in offsets}

    def close(self) -> None:
        """Revoke what is left, as the real one does."""
        self.closed = True
        self.held = dict(self.assigned)
        self.callbacks["on_revoke"](self, [TopicPartition(*at) for at in self.held])


def assign(*partitions: PartitionId) -> Callable[[FakeConsumer], None]:
    return lambda consumer: consumer.callbacks["on_assign"](consumer, [TopicPartition(*at) for at in partitions])


def revoke(*partitions: PartitionId) -> Callable[[FakeConsumer], None]:
    return lambda consumer: consumer.callbacks["on_revoke"](consumer, [TopicPartition(*at) for at in partitions])
