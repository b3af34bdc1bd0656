"""Real workers as child processes, and the outcomes that are really on the topics."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription
from PIL import Image
from pydantic_core import to_json

from sightstream.consumers.kafka.message import headers_of, record_id
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Failure, RecordId
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings, record_key
from tests.faults.checker import check
from tests.faults.history import End, History
from tests.faults.topic_reader import (
    ConcurrentReader,
    outcome_of,
    read_committed_offsets,
    read_ends,
    read_topic,
    request_of,
)
from tests.raw_batches import RawRecord, build_batch, produce_batch

ROOT = Path(__file__).parents[2]
REST_TIMEOUT_S = 30.0  # a worker killed inside a transaction leaves it open until the broker aborts it


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    """Wait until `condition` is true. Raises an AssertionError that says `what` was waited for."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


@dataclass
class WorkerHarness:
    """One set of topics, an image folder, a group; starts workers on the simulated engine."""

    kafka: KafkaSettings
    topics: TopicSettings
    folder: Path
    group: str = field(default_factory=lambda: f"workers-{uuid4().hex[:8]}")
    settings: dict[str, object] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    published: int = 0
    program: tuple[str, ...] = ("sightstream", "worker")  # the module to run, and its arguments
    prefix: tuple[str, ...] = ()  # before the command, such as one that enters a network namespace
    published_to: Counter[int] = field(default_factory=Counter)  # by partition
    environment: dict[str, str] = field(default_factory=dict)
    root: Path = ROOT  # the checkout that workers are started from
    reader: ConcurrentReader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = ConcurrentReader(self.kafka, self.topics)

    def start_worker(self, name: str | None = None, **settings: object) -> subprocess.Popen[bytes]:
        """Settings as TOML sections would name them: worker_session_timeout_s=6."""
        self.reader.start()
        chosen = {
            "kafka_bootstrap_servers": self.kafka.bootstrap_servers,
            "topics_requests": self.topics.requests,
            "topics_results": self.topics.results,
            "topics_dead_letters": self.topics.dead_letters,
            "worker_group_id": self.group,
            "worker_name": name or f"{self.group}-{len(self.workers)}",
            "worker_session_timeout_s": 6,
            "worker_transaction_timeout_s": 9,
            "worker_commit_interval_s": 0.1,
            "engine_kind": "simulated",
            "engine_simulated_s": 0.05,
            "engine_max_batch": 4,
            "flow_max_in_flight": 16,
            # All requests ask the same about the same image, and each must go through all stages.
            "cache_kind": "none",
            "cache_coalesce_in_flight": "false",
            "decode_processes": 1,
            "fetch_file_roots": f'["{self.folder}"]',
            **self.settings,
            **settings,
        }
        variables = {f"SIGHTSTREAM_{key.upper()}": str(value) for key, value in chosen.items()}
        environment = os.environ | variables | self.environment
        log = (self.folder / f"worker-{len(self.workers)}.log").open("ab")
        command = [*self.prefix, sys.executable, "-m", *self.program, *self.options]
        with log:
            worker = subprocess.Popen(
                command, env=environment, cwd=self.root, stdout=log, stderr=log, start_new_session=True
            )
        self.workers.append(worker)
        return worker

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("worker-*.log")))

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        self.reader.stop()

    def wait_for_owners(self, count: int) -> None:
        """Wait until `count` workers of the group have partitions: a signal kills a worker that is only starting."""
        admin = AdminClient(self.kafka.client_config())

        def assigned() -> bool:
            group: ConsumerGroupDescription = admin.describe_consumer_groups([self.group])[self.group].result(30)
            return sum(bool(member.assignment.topic_partitions) for member in group.members) == count

        wait_for(assigned, f"{count} workers with partitions")

    def image(self, name: str = "good.png") -> str:
        path = self.folder / name
        if not path.exists():
            Image.new("RGB", (20, 10), "teal").save(path)
        return path.as_uri()

    def publish(
        self, count: int, products: int = 20, each: Callable[[int], dict[str, object]] | None = None, **changes: object
    ) -> None:
        """Publish requests in order, numbered over all calls; `changes` and `each(number)` replace their fields."""
        # Named here, so that a wrong partitioner of the product's own clients shows.
        producer = Producer(self.kafka.producer_config() | {"partitioner": "murmur2_random"})
        for number in range(self.published, self.published + count):
            fields: dict[str, object] = {
                "request_id": f"r{number:06}",
                "product_id": f"p{number % products}",
                "image": ImageRef(uri=self.image()),
                "question": "What is it?",
                "submitted_at": datetime.now(UTC),
            }
            wire = to_json(fields | changes | (each(number) if each else {}))  # has addresses that none is made with
            request = ImageRequest.model_validate_json(wire)
            key = record_key(request.product_id)
            producer.produce(self.topics.requests, key=key, value=encode(request), on_delivery=self._count)
            producer.poll(0)
        assert producer.flush(120) == 0
        self.published += count

    def _count(self, error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        self.published_to[record_id(message).partition] += 1

    def publish_raw(
        self,
        value: bytes | None,
        key: bytes | None = b"k",
        compression: str = "none",
        headers: list[tuple[str, str | bytes | None]] | None = None,
    ) -> None:
        large = {"message.max.bytes": 16 * 1024**2, "compression.type": compression}
        producer = Producer(self.kafka.producer_config() | large)
        producer.produce(self.topics.requests, key=key, value=value, headers=headers or [])
        assert producer.flush(30) == 0
        self.published += 1

    def publish_batch(self, records: list[RawRecord], compression: int = 0, partition: int = 0) -> int:
        """Append one record batch as it is, and return its base offset."""
        self.published += len(records)
        return produce_batch(self.kafka, self.topics.requests, partition, build_batch(records, compression))

    def outcomes(self) -> Outcomes:
        """Return the outcomes that a `read_committed` reader gets now."""
        return read_outcomes(self.kafka, self.topics)

    def wait_outcomes(self, count: int, timeout_s: float = 90) -> Outcomes:
        self.wait_until_seen(count, timeout_s)
        return self.outcomes()

    def wait_until_seen(self, count: int, timeout_s: float = 90) -> None:
        """Wait until the concurrent reader has seen that many outcomes."""
        self.reader.start()
        try:
            wait_for(lambda: self.reader.count >= count, f"{count} outcomes", timeout_s)
        except AssertionError as error:
            found = f"{error}; there are {self.reader.count} {self.reader.errors}"
            raise AssertionError(f"{found}\n{self.logs()[-6000:]}") from None

    def check_exactly_once(self, quiet_s: float = 1.0, timeout_s: float = 90) -> Outcomes:
        """Wait until everything is answered and at rest, look again `quiet_s` later, and check all invariants."""
        self.wait_until_seen(self.published, timeout_s)
        self.wait_for_rest()
        time.sleep(quiet_s)  # the point is that nothing comes: there is no condition to wait for
        check(self.history())
        return self.outcomes()

    def history(self) -> History:
        """Return what the run has left on the topics and in the group until now."""
        found = self.outcomes()
        outcomes = tuple(outcome_of(message) for message in (*found.results, *found.dead_letters))
        self.reader.catch_up(outcomes)
        return History(
            published=self.published,
            requests=tuple(map(request_of, read_topic(self.kafka, self.topics.requests))),
            outcomes=outcomes,
            sightings=self.reader.sightings,
            committed=read_committed_offsets(self.kafka, self.group, self.topics.requests),
            ends=self._ends(),
            reader_errors=self.reader.errors,
        )

    @property
    def topic_names(self) -> tuple[str, str, str]:
        return (self.topics.requests, self.topics.results, self.topics.dead_letters)

    def _ends(self) -> tuple[End, ...]:
        return read_ends(self.kafka, self.topic_names)

    def wait_for_rest(self) -> None:
        """Wait until a transaction that a killed worker left open has ended; the checker tells if it never does."""
        with contextlib.suppress(AssertionError):
            wait_for(lambda: all(end.stable == end.high for end in self._ends()), "rest", REST_TIMEOUT_S)


@dataclass
class Outcomes:
    """The messages on the result and dead-letter topics."""

    results: list[Message]
    dead_letters: list[Message]

    @property
    def sources(self) -> list[RecordId]:
        return [RecordId.from_headers(headers_of(m) or []) for m in (*self.results, *self.dead_letters)]

    @property
    def failures(self) -> list[Failure]:
        return [Failure.from_headers(headers_of(m) or []) for m in self.dead_letters]


def read_outcomes(kafka: KafkaSettings, topics: TopicSettings) -> Outcomes:
    return Outcomes(read_topic(kafka, topics.results), read_topic(kafka, topics.dead_letters))
