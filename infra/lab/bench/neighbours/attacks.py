"""Measures honest images alone and beside attacks that are renewed throughout: slow bodies, floods, scan bombs."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rich.table import Table

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.neighbours.options import AttacksOptions
from sightstream.infra.lab.bench.neighbours.run import KEY, put_image
from sightstream.infra.lab.bench.neighbours.servers import (
    BOMB_LOOPBACK,
    FRAMING_LOOPBACK,
    LOOPBACK,
    bomb_host,
    framing_host,
    slow_host,
)
from sightstream.infra.lab.bench.transactions.workload import make_topics, unthrottled_worker
from sightstream.infra.runtime.local import DEFAULT_BUCKET, LocalRuntime
from sightstream.infra.runtime.service import Program, Service
from sightstream.producers.publisher import ImagePublisher
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer

SCHEMA_VERSION = 1
MOST_TIMES_ALONE = 3.0
HONEST = "honest"
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Run:
    """How long the honest images took, the latency of the slowest hundredth, and how many attacks ended meanwhile."""

    seconds: float
    p99_s: float
    attacks: dict[str, int]


@dataclass(slots=True)
class Measurement:
    options: AttacksOptions
    alone: list[Run] = field(default_factory=list)
    attacked: list[Run] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [beside.seconds / alone.seconds for beside, alone in zip(self.attacked, self.alone, strict=True)]

    @property
    def missed(self) -> bool:
        return any(ratio > MOST_TIMES_ALONE for ratio in self.ratios)


class Requests:
    """Publishes requests of several kinds and sees how each ends, in a result or a dead letter."""

    def __init__(self, publisher: ImagePublisher, consumer: Consumer, uris: dict[str, str]) -> None:
        self._publisher, self._consumer, self._uris = publisher, consumer, uris
        self._published_at: dict[str, float] = {}
        self.in_flight: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.latencies_s: list[float] = []

    def publish(self, kind: str) -> None:
        request_id = f"{kind}-{len(self._published_at) + self.ended.total()}"
        request = ImageRequest(
            request_id=request_id,
            product_id=request_id,
            image=ImageRef(uri=self._uris[kind]),
            question="What does the picture show?",
            submitted_at=datetime.now(UTC),
        )
        self._publisher.publish(request)
        self._published_at[request_id] = time.monotonic()
        self.in_flight[kind] += 1

    def read(self) -> None:
        """Note what has ended, waiting a moment for it."""
        for message in self._consumer.consume(1000, POLL_S):
            if message.error() is None and (value := message.value()) is not None:
                self._end(json.loads(value)["request_id"])

    def _end(self, request_id: str) -> None:
        published_at = self._published_at.pop(request_id, None)
        if published_at is None:
            return
        kind = request_id.partition("-")[0]
        self.in_flight[kind] -= 1
        self.ended[kind] += 1
        if kind == HONEST:
            self.latencies_s.append(time.monotonic() - published_at)


def measure(options: AttacksOptions, report: Callable[[str], None]) -> Measurement:
    """Run every round; blocks for minutes. Raises CommandError when a worker fails or is too slow."""
    found = Measurement(options)
    report("starting Kafka and S3")
    with _hosts() as (runtime, folder, uris):
        for number in range(options.rounds):
            for runs, attacks in ((found.alone, {}), (found.attacked, options.attacks)):
                name = f"attacks-{number}-{len(attacks)}"
                run = _run(runtime, folder, uris, options, attacks, name)
                runs.append(run)
                said = "beside attacks" if attacks else "alone"
                report(f"round {number + 1}, {said}: {run.seconds:.1f} s, p99 {run.p99_s:.2f} s, ended {run.attacks}")
    return found


def document(found: Measurement) -> dict[str, Any]:
    """Return the measurement as a JSON-serializable document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
        **asdict(found),
        "ratios": found.ratios,
        "missed": found.missed,
    }


def as_table(found: Measurement) -> Table:
    """Return a table with one line per round."""
    bar = f"{found.options.images} honest images beside attacks: at most {MOST_TIMES_ALONE:g} times the time alone"
    table = Table("round", "alone s", "p99 s", "attacked s", "p99 s", "times", "attacks ended", title=bar)
    for number, (alone, beside, ratio) in enumerate(zip(found.alone, found.attacked, found.ratios, strict=True), 1):
        figures = (alone.seconds, alone.p99_s, beside.seconds, beside.p99_s, ratio)
        table.add_row(str(number), *(f"{figure:.2f}" for figure in figures), str(sum(beside.attacks.values())))
    return table


@contextmanager
def _hosts() -> Iterator[tuple[LocalRuntime, Path, dict[str, str]]]:
    """Start Kafka, S3 and the attackers' hosts; yield the address of each kind of image."""
    with TemporaryDirectory(prefix="sightstream-bench-") as name, LocalRuntime(Path(name) / "runtime") as runtime:
        put_image(runtime)
        with slow_host() as slow, framing_host() as framing, bomb_host() as bomb:
            yield (
                runtime,
                Path(name),
                {
                    HONEST: f"s3://{DEFAULT_BUCKET}/{KEY}",
                    "slow": f"http://{LOOPBACK}:{slow}/x",
                    "framing": f"http://{FRAMING_LOOPBACK}:{framing}/x",
                    "bomb": f"http://{BOMB_LOOPBACK}:{bomb}/x",
                },
            )


def _run(
    runtime: LocalRuntime,
    folder: Path,
    uris: dict[str, str],
    options: AttacksOptions,
    attacks: dict[str, int],
    name: str,
) -> Run:
    topics, config = make_topics(runtime, name, options.partitions)
    with _requests(runtime, topics, uris) as requests, _worker(runtime, folder, config, name, uris) as worker:
        deadline = time.monotonic() + options.timeout_s
        requests.publish(HONEST)
        _answer(requests, 1, 1, {}, deadline, worker)  # the worker has started
        requests.latencies_s.clear()
        start = time.monotonic()
        _answer(requests, options.images + 1, options.in_flight, attacks, deadline, worker)
        ended = {kind: requests.ended[kind] for kind in attacks}
        return Run(time.monotonic() - start, quantiles(requests.latencies_s, n=100)[98], ended)


def _answer(
    requests: Requests, count: int, in_flight: int, attacks: dict[str, int], deadline: float, worker: Service
) -> None:
    """Keep that many in flight until `count` honest requests have ended."""
    while requests.ended[HONEST] < count:
        if time.monotonic() > deadline or not worker.running:
            end = worker.program.log.read_text(errors="replace")[-2000:]
            raise CommandError(f"{requests.ended[HONEST]} of {count}; the worker died or was too slow\n{end}")
        for kind, most in attacks.items():
            for _ in range(most - requests.in_flight[kind]):
                requests.publish(kind)
        left = count - requests.ended[HONEST] - requests.in_flight[HONEST]
        for _ in range(min(left, in_flight - requests.in_flight[HONEST])):
            requests.publish(HONEST)
        requests.read()


@contextmanager
def _requests(runtime: LocalRuntime, topics: TopicSettings, uris: dict[str, str]) -> Iterator[Requests]:
    from confluent_kafka import Consumer, TopicPartition

    config = runtime.kafka_settings.client_config() | {
        "group.id": "bench",  # never joined
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
    }
    consumer = Consumer(config, logger=client_logger(__name__))
    ends = (topics.results, topics.dead_letters)
    consumer.assign([TopicPartition(topic, number, 0) for topic in ends for number in range(topics.partitions)])
    try:
        with ImagePublisher(runtime.kafka_settings, topics) as publisher:
            yield Requests(publisher, consumer, uris)
    finally:
        consumer.close()


@contextmanager
def _worker(runtime: LocalRuntime, folder: Path, config: Path, name: str, uris: dict[str, str]) -> Iterator[Service]:
    """Run a worker to which the attackers' hosts are foreign ones."""
    ports = [urlsplit(uri).port for kind, uri in uris.items() if kind != HONEST]
    environment = {
        **unthrottled_worker(config, name),
        "SIGHTSTREAM_FETCH_ALLOWED_PORTS": json.dumps(ports),
        "SIGHTSTREAM_FETCH_ALLOW_PRIVATE_ADDRESSES": "true",
    }
    command = [sys.executable, "-P", "-m", "sightstream", "worker"]
    worker = runtime.run(Program(name, command, folder / f"{name}.log", lambda _: None, environment))
    try:
        yield worker
    finally:
        worker.stop()
