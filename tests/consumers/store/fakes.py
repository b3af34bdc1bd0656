"""A consumer that plays back what it is told, in place of confluent_kafka.Consumer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, TopicPartition

from sightstream.consumers.store.database import Place
from sightstream.schemas.wire.dead_letter import Headers


@dataclass(frozen=True, slots=True)
class FakeMessage:
    place: Place
    at: int
    content: tuple[bytes | None, bytes | None, Headers | None] = (None, None, None)
    problem: KafkaError | None = None

    def error(self) -> KafkaError | None:
        return self.problem

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return (1, 1000 + self.at)

    def key(self) -> bytes | None:
        return self.content[0]

    def value(self) -> bytes | None:
        return self.content[1]

    def headers(self) -> Headers | None:
        return self.content[2]


def end(place: Place, offset: int) -> FakeMessage:
    return FakeMessage(place, offset, problem=KafkaError(KafkaError._PARTITION_EOF))


@dataclass(slots=True)
class FakeConsumer:
    """Each step of `script` is one poll: a message, None, or something to call with this consumer."""

    script: list[FakeMessage | Callable[[FakeConsumer], None] | None]
    watermarks: dict[Place, tuple[int, int]] = field(default_factory=dict)
    assigned: dict[Place, int] = field(default_factory=dict)
    committed: dict[Place, int] = field(default_factory=dict)
    held: dict[Place, int] = field(default_factory=dict)  # what was assigned when it was closed
    closed: bool = False
    callbacks: dict[str, Callable] = field(default_factory=dict)

    def subscribe(self, topics: list[str], **callbacks: Callable) -> None:
        self.callbacks = callbacks

    def poll(self, timeout: float) -> FakeMessage | None:
        step = self.script.pop(0) if self.script else None
        if callable(step):
            step(self)
            return None
        return step

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned |= {(p.topic, p.partition): p.offset for p in partitions}

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            del self.assigned[p.topic, p.partition]

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        return self.watermarks[partition.topic, partition.partition]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.committed |= {(p.topic, p.partition): p.offset for p in offsets}

    def close(self) -> None:
        """Revokes what is left, as the real one does."""
        self.closed = True
        self.held = dict(self.assigned)
        self.callbacks["on_revoke"](self, [TopicPartition(*place) for place in self.held])


def assign(*places: Place) -> Callable[[FakeConsumer], None]:
    return lambda consumer: consumer.callbacks["on_assign"](consumer, [TopicPartition(*place) for place in places])


def revoke(*places: Place) -> Callable[[FakeConsumer], None]:
    return lambda consumer: consumer.callbacks["on_revoke"](consumer, [TopicPartition(*place) for place in places])
