"""Real workers as child processes, and the outcomes that are really on the topics."""

from __future__ import annotations

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

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription
from PIL import Image

from sightstream.consumers.kafka.message import headers_of, record_id
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Failure, RecordId
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings, record_key

ROOT = Path(__file__).parents[2]


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
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    published: int = 0

    def start_worker(self, name: str | None = None, **settings: object) -> subprocess.Popen[bytes]:
        """Settings as TOML sections would name them: worker_session_timeout_s=6."""
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
        environment = os.environ | {f"SIGHTSTREAM_{key.upper()}": str(value) for key, value in chosen.items()}
        log = (self.folder / f"worker-{len(self.workers)}.log").open("ab")
        command = [sys.executable, "-m", "sightstream", "worker"]
        with log:
            worker = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
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

    def publish(self, count: int, products: int = 20, **changes: object) -> None:
        """Publish requests in order, numbered over all calls; `changes` replace fields of each."""
        producer = Producer(self.kafka.producer_config())
        for number in range(self.published, self.published + count):
            fields: dict[str, object] = {
                "request_id": f"r{number:06}",
                "product_id": f"p{number % products}",
                "image": ImageRef(uri=self.image()),
                "question": "What is it?",
                "submitted_at": datetime.now(UTC),
            }
            request = ImageRequest.model_validate(fields | changes)
            producer.produce(self.topics.requests, key=record_key(request.product_id), value=encode(request))
        assert producer.flush(30) == 0
        self.published += count

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

    def outcomes(self) -> Outcomes:
        """Return the outcomes that a `read_committed` reader gets now."""
        return read_outcomes(self.kafka, self.topics)

    def wait_outcomes(self, count: int, timeout_s: float = 90) -> Outcomes:
        try:
            wait_for(lambda: len(self.outcomes().sources) >= count, f"{count} outcomes", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {len(self.outcomes().sources)}\n{self.logs()[-6000:]}") from None
        return self.outcomes()

    def check_exactly_once(self) -> Outcomes:
        """Check that every record has exactly one outcome, and the outcomes of a product are in its order."""
        found = self.wait_outcomes(self.published)
        doubles = {source: n for source, n in Counter(found.sources).items() if n > 1}
        assert not doubles
        assert len(found.sources) == self.published
        for topic in (found.results, found.dead_letters):
            assert_ordered_by_key(topic)
        return found


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


def assert_ordered_by_key(messages: list[Message]) -> None:
    last: dict[tuple[int, bytes | None], int] = {}
    for message in sorted(messages, key=lambda m: (record_id(m).partition, record_id(m).offset)):
        source = RecordId.from_headers(headers_of(message) or [])
        sequence = (source.partition, message.key())
        assert source.offset > last.get(sequence, -1), f"{message.key()!r} out of order"
        last[sequence] = source.offset


def read_outcomes(kafka: KafkaSettings, topics: TopicSettings) -> Outcomes:
    return Outcomes(read_topic(kafka, topics.results), read_topic(kafka, topics.dead_letters))


def read_topic(kafka: KafkaSettings, topic: str, isolation: str = "read_committed") -> list[Message]:
    """Return the whole topic, up to its last stable offsets."""
    consumer = Consumer(
        kafka.client_config()
        | {
            "group.id": "reader",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    found: list[Message] = []
    unread = set(partitions)
    while unread:
        message = consumer.poll(30)
        assert message is not None, "the reader got no answer"
        error = message.error()
        if error is None:
            found.append(message)
        else:
            assert error.code() == KafkaError._PARTITION_EOF, error
            unread.discard(record_id(message).partition)
    consumer.close()
    return found
