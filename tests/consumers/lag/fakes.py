"""A broker and a consumer that say what they are told."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, TopicPartition

from sightstream.consumers.lag.broker import Committed, Membership
from sightstream.consumers.lag.types import Place


@dataclass(slots=True)
class FakeLog:
    """A partition: what a read_committed reader gets, as {offset: milliseconds}, up to `end`."""

    records: dict[int, int] = field(default_factory=dict)
    end: int = 0
    start: int = 0


@dataclass(frozen=True, slots=True)
class FakeMessage:
    place: Place
    at: int
    at_ms: int = 0
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
        return (TIMESTAMP_CREATE_TIME, self.at_ms)


@dataclass(slots=True)
class FakeConsumer:
    """Reads from the logs. `polls` counts, `silent` never gets anything."""

    logs: dict[Place, FakeLog]
    silent: bool = False
    polls: int = 0
    queue: deque[FakeMessage] = field(default_factory=deque)
    paused: set[Place] = field(default_factory=set)  # outlives an assignment, as in librdkafka

    def assign(self, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            place = (p.topic, p.partition)
            log = self.logs[place]
            self.queue += (FakeMessage(place, at, ms) for at, ms in sorted(log.records.items()) if at >= p.offset)
            self.queue.append(FakeMessage(place, log.end, problem=KafkaError(KafkaError._PARTITION_EOF)))

    def unassign(self) -> None:
        self.queue.clear()

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {(p.topic, p.partition) for p in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {(p.topic, p.partition) for p in partitions}

    def poll(self, timeout: float) -> FakeMessage | None:
        self.polls += 1
        self.queue = deque(message for message in self.queue if message.place not in self.paused)
        return self.queue.popleft() if self.queue and not self.silent else None

    def close(self) -> None:
        pass


@dataclass(slots=True)
class FakeBroker:
    logs: dict[Place, FakeLog]
    offsets: dict[str, dict[Place, Committed]] = field(default_factory=dict)
    membership_of: dict[str, Membership] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def places(self, topics: tuple[str, ...]) -> list[Place]:
        return sorted(place for place in self.logs if place[0] in topics)

    def committed(self, group: str) -> dict[Place, Committed]:
        self.asked.append("committed")
        return self.offsets.get(group, {})

    def membership(self, group: str) -> Membership:
        return self.membership_of.get(group, Membership((), {}))

    def stable_ends(self, places: set[Place]) -> dict[Place, int]:
        self.asked.append("ends")
        return {place: self.logs[place].end for place in places}

    def starts(self, places: set[Place]) -> dict[Place, int]:
        return {place: self.logs[place].start for place in places}
