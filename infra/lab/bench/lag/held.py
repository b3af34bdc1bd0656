"""Holds publisher and workers at some moments, and compares what a lag reader says with the topics themselves."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.lag.reader import LagReader, open_lag_reader
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.types import PartitionLag
from sightstream.infra.lab.bench.lag.options import LagOptions
from sightstream.infra.lab.bench.lag.topics import Left, Topics
from sightstream.infra.lab.bench.transactions.workload import make_image, make_topics, unthrottled_worker
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.service import Program, Service
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.settings_file import CONFIG_VARIABLE
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.topics import TopicSettings

WORKERS, READER = "bench-workers", "bench-reader"
REQUESTS_PER_S = 150
IN_FLIGHT_S = 0.3
NAME = "held"
Header = tuple[str, str | bytes | None]  # as confluent-kafka types it
NEAR_THE_END = 500  # records
ABORTED = 0.02  # of all transactions


@dataclass(frozen=True, slots=True)
class Comparison:
    """One group at one moment: its true lag, what a reader said of it, and by how much the ages were wrong at most."""

    group: str
    truth: int
    said: int
    estimated: bool
    age_error_s: float
    reading_s: float = 0.0

    @property
    def error(self) -> int:
        return abs(self.said - self.truth)


def compare(
    runtime: LocalRuntime, folder: Path, options: LagOptions, report: Callable[[str], None]
) -> list[Comparison]:
    """Return a comparison of each group at each point. Blocks for minutes."""
    topics, config = make_topics(runtime, NAME, options.partitions)
    kafka = runtime.kafka_settings
    groups = {WORKERS: (topics.requests,), READER: (topics.results,)}
    broker = Broker(AdminClient(kafka.client_config(), logger=client_logger(__name__)), 10)
    chance = random.Random(options.seed)  # noqa: S311 - a schedule
    found: list[Comparison] = []
    with ExitStack() as stack:
        _write_results(kafka, topics, options.earlier, chance)
        reader = stack.enter_context(open_lag_reader(kafka, LagSettings(), groups))
        truth = Topics.open(kafka, topics)
        stack.callback(truth.consumer.close)
        committer = Consumer(kafka.client_config() | {"group.id": READER}, logger=client_logger(__name__))
        stack.callback(committer.close)
        services = stack.enter_context(_running(runtime, config, folder, options))
        while len(found) < len(groups) * options.points:
            time.sleep(chance.uniform(0.5, 2))
            with _held(services):
                if not truth.is_stable(broker):
                    continue
                truth.read_on()
                if not truth.answered:
                    continue
                starts = _commit_somewhere(committer, truth, chance)
                found += _compare(reader, truth, starts)
            newest = ", ".join(f"{'~' * one.estimated}{one.said} of {one.truth}" for one in found[-len(groups) :])
            report(f"{len(found) // len(groups)} of {options.points}: {newest}; read in {found[-1].reading_s:.1f} s")
    return found


def _write_results(kafka: KafkaSettings, topics: TopicSettings, number: int, chance: random.Random) -> None:
    """Write results as workers do, in transactions whose sizes change with the time, some of them aborted."""
    producer = Producer(
        kafka.producer_config() | {"transactional.id": NAME, "linger.ms": 5}, logger=client_logger(__name__)
    )
    producer.init_transactions(60)
    written = 0
    while written < number:
        producer.begin_transaction()
        some = chance.randint(1, 1 + 400 * written // number)
        for offset in range(written, written + some):
            partition, headers = chance.randrange(topics.partitions), [*RecordId(NAME, 0, offset).headers()]
            producer.produce(topics.results, bytes(500), partition=partition, headers=list[Header](headers))
        if chance.random() < ABORTED:
            producer.abort_transaction(60)
        else:
            producer.commit_transaction(60)
            written += some


@contextmanager
def _running(runtime: LocalRuntime, config: Path, folder: Path, options: LagOptions) -> Iterator[list[Service]]:
    """Run the publisher and the workers; each worker answers 64 images at once."""
    image = make_image(folder)
    services = []
    for number in range(options.workers):
        environment = unthrottled_worker(config, f"{NAME}-{number}") | {
            "SIGHTSTREAM_WORKER_GROUP_ID": WORKERS,
            "SIGHTSTREAM_FETCH_FILE_ROOTS": json.dumps([str(folder)]),
        }
        command = [sys.executable, "-m", "sightstream", "worker", "--from-beginning"]  # there are results before
        services.append(runtime.run(Program("worker", command, folder / f"{number}.log", lambda _: None, environment)))
    module = "sightstream.infra.lab.bench.lag.publisher"
    command = [sys.executable, "-m", module, image.as_uri(), str(REQUESTS_PER_S), str(options.seed)]
    environment = {CONFIG_VARIABLE: str(config)}
    services.append(runtime.run(Program("publisher", command, folder / "publisher.log", lambda _: None, environment)))
    try:
        yield services
    finally:
        for service in services:
            service.stop()


@contextmanager
def _held(services: list[Service]) -> Iterator[None]:
    for service in services:
        service.check()
        service.pause()
    try:
        time.sleep(IN_FLIGHT_S)  # the brokers finish what was sent
        yield
    finally:
        for service in services:
            service.resume()


def _commit_somewhere(committer: Consumer, truth: Topics, chance: random.Random) -> dict[PartitionId, int]:
    """Commit an offset on each partition of the results, now anywhere and now near the end, and return them."""
    partitions = [PartitionId(truth.settings.results, number) for number in range(truth.settings.partitions)]
    newest = chance.choice([None, NEAR_THE_END])
    starts = {at: chance.choice([*truth.results[at]][-newest if newest else 0 :]) for at in partitions}
    committer.commit(offsets=[TopicPartition(*at, offset) for at, offset in starts.items()], asynchronous=False)
    return starts


def _compare(reader: LagReader, truth: Topics, starts: dict[PartitionId, int]) -> Iterator[Comparison]:
    before = time.time()
    groups = reader.read()
    after = time.time()
    for group in groups:
        left: dict[PartitionLag, Left] = {}
        for part in group.partitions:
            at = PartitionId(part.topic, part.partition)
            left[part] = truth.results_from(at, starts[at]) if group.group == READER else truth.unanswered(at)
        yield Comparison(
            group=group.group,
            truth=sum(one.records for one in left.values()),
            said=group.records,
            estimated=group.estimated,
            age_error_s=max(_age_error_s(part, one, before, after) for part, one in left.items()),
            reading_s=after - before,
        )


def _age_error_s(part: PartitionLag, left: Left, before: float, after: float) -> float:
    """Return by how much the age is outside of what it was while it was read."""
    if left.oldest_ms is None or part.seconds is None:
        return 0.0 if part.seconds == 0 else float("inf")
    lowest, highest = before - left.oldest_ms / 1000, after - left.oldest_ms / 1000
    return max(0.0, lowest - part.seconds, part.seconds - highest)
