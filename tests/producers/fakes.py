"""A fake producer, a fake broker's transactions and a fake source, each small enough to see that it is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from sightstream.producers.errors import Superseded
from sightstream.producers.kafka_clients import KafkaHeaders
from sightstream.producers.progress import Progress
from sightstream.producers.sources.image_files import Skipped
from sightstream.producers.sources.item import Item
from sightstream.producers.transactional_sink import Record
from sightstream.schemas.wire.request import ImageRef, ImageRequest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def request(number: int = 1, **changes: Any) -> ImageRequest:
    given: dict[str, Any] = {
        "request_id": f"r-{number}",
        "product_id": f"p-{number % 7}",
        "image": ImageRef(uri=f"s3://shop/{number}.jpg"),
        "question": "What is this?",
        "submitted_at": NOW,
    }
    return ImageRequest(**given | changes)


@dataclass
class FakeKafkaError:
    """Imitates a KafkaError."""

    text: str

    def str(self) -> str:
        return self.text


@dataclass
class FakeMessage:
    """Imitates a delivered message."""

    at: int

    def topic(self) -> str:
        return "image.requests"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at


@dataclass
class FakeProducer:
    """Reports a delivery at each poll while `delivering`; `error_for` a key is None for success."""

    config: dict[str, Any]
    delivering: bool = True
    error_for: Callable[[bytes], FakeKafkaError | None] = lambda key: None
    refuse: Exception | None = None
    sent: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    waiting: list[tuple[bytes, Callable[[Any, Any], None]]] = field(default_factory=list)
    headers: list[KafkaHeaders] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)
    polls: int = 0

    def produce(
        self, topic: str, *, value: bytes, key: bytes, headers: KafkaHeaders, on_delivery: Callable[[Any, Any], None]
    ) -> None:
        if self.refuse:
            raise self.refuse
        with self.lock:
            self.headers.append(headers)
            self.sent.append((topic, key, value))
            self.waiting.append((key, on_delivery))

    def poll(self, timeout_s: float) -> int:
        self.polls += 1
        return self._report(self.error_for) if self.delivering else 0

    def purge(self) -> None:
        self._report(lambda key: FakeKafkaError("Local: Purged in queue"))

    def _report(self, error_for: Callable[[bytes], FakeKafkaError | None]) -> int:
        with self.lock:
            due, self.waiting = self.waiting, []
        for at, (key, on_delivery) in enumerate(due):
            on_delivery(error_for(key), FakeMessage(at))
        return len(due)


@dataclass
class FakeTopic:
    """Keeps what a broker keeps for one job: committed records, committed progress, the transactional id's epoch."""

    records: list[Record] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    epoch: int = 0


class FakeSink:
    """Calls `faults` around each effect on the topic: it may raise before or after."""

    def __init__(self, topic: FakeTopic, faults: Callable[[str], None] = lambda step: None) -> None:
        self.topic = topic
        self.faults = faults
        self.epoch = 0
        self.closed = False

    def open(self) -> Progress:
        self.faults("before open")
        self.topic.epoch += 1
        self.epoch = self.topic.epoch
        self.faults("after open")
        return self.topic.progress

    def commit(self, records: Sequence[Record], progress: Progress) -> None:
        self.faults("before commit")
        if self.epoch != self.topic.epoch:
            raise Superseded("fenced")
        self.topic.records += records
        self.topic.progress = progress
        self.faults("after commit")

    def close(self) -> None:
        self.closed = True


@dataclass
class ListSource:
    """A bulk source in memory."""

    entries: list[Item]
    location: str = "list"
    size: int | None = None
    skipped: Skipped = field(default_factory=Skipped)

    def items(self) -> Iterator[Item]:
        return iter(self.entries)


def items(count: int, bad: Sequence[int] = ()) -> list[Item]:
    return [
        Item(f"line {n}", b"raw-%d" % n, problem="broken")
        if n in bad
        else Item(f"line {n}", b"raw-%d" % n, {"product_id": f"p-{n % 5}", "image": {"uri": f"s3://b/{n}"}}, size=10)
        for n in range(count)
    ]


@dataclass
class RecordingListener:
    """Remembers all that a job reports."""

    before: Progress | None = None
    problems: list[str] = field(default_factory=list)
    commits: list[Progress] = field(default_factory=list)
    bytes_read: int = 0

    def on_resume(self, progress: Progress) -> None:
        self.before = progress

    def on_read(self, size: int) -> None:
        self.bytes_read += size

    def on_bad_item(self, problem: str) -> None:
        self.problems.append(problem)

    def on_commit(self, progress: Progress) -> None:
        self.commits.append(progress)
