"""Measures the processor time of an exporter that is scraped, on topics that go on growing."""

from __future__ import annotations

import random
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from confluent_kafka import Consumer, Producer, TopicPartition

from sightstream.infra.lab.bench.feed.process_tree import usage
from sightstream.infra.lab.bench.lag.options import LagOptions
from sightstream.infra.lab.bench.transactions.workload import make_topics
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.ports import free_ports
from sightstream.infra.runtime.service import Program
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.settings_file import CONFIG_VARIABLE
from sightstream.schemas.wire.topics import TopicSettings

RECORD = bytes(700)
BACKLOG = 300  # records of each partition
GROUPS = ("sightstream-workers", "sightstream-store", "sightstream-lookup")


@dataclass(frozen=True, slots=True)
class Scraped:
    """The processor time of the exporter's process from the first scrape to the last, and the samples of a scrape."""

    partitions: int
    samples: int
    seconds: float
    cpu_s: float

    @property
    def percent_of_a_core(self) -> float:
        return 100 * self.cpu_s / self.seconds


def measure(runtime: LocalRuntime, folder: Path, options: LagOptions, report: Callable[[str], None]) -> Scraped:
    """Blocks for `scrapes` times `scrape_s`, and some seconds more."""
    topics, config = make_topics(runtime, "scraped", options.scraped_partitions // 3)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/metrics"
    environment = {CONFIG_VARIABLE: str(config), "SIGHTSTREAM_LAG_METRICS_PORT": str(port)}
    command = [sys.executable, "-m", "sightstream", "lag", "--serve"]
    with ExitStack() as stack:
        stack.enter_context(_growing(runtime, topics, options.seed))
        exporter = runtime.run(
            Program("exporter", command, folder / "exporter.log", lambda _: _check_ready(url), environment)
        )
        stack.callback(exporter.stop)
        exporter.wait_until_ready(options.timeout_s)
        start, cpu_s = time.monotonic(), usage([exporter.pid]).cpu_s
        for number in range(options.scrapes):
            time.sleep(max(0.0, start + (number + 1) * options.scrape_s - time.monotonic()))
            lines = _scrape(url)
            report(f"scrape {number + 1} of {options.scrapes}: {usage([exporter.pid]).cpu_s - cpu_s:.2f} s of CPU")
        seconds, used_s = time.monotonic() - start, usage([exporter.pid]).cpu_s - cpu_s
        samples = [line for line in lines if not line.startswith("#")]
        partitions = sum(line.startswith("kafka_topic_partition_current_offset{") for line in samples)
        return Scraped(partitions, len(samples), seconds, used_s)


def _scrape(url: str) -> list[str]:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - a URL of our own
        return str(answer.read(), "utf-8").splitlines()


def _check_ready(url: str) -> None:
    if not any(line.startswith("kafka_consumergroup_lag{") for line in _scrape(url)):
        raise RuntimeError("nothing was read yet")


@contextmanager
def _growing(runtime: LocalRuntime, topics: TopicSettings, seed: int) -> Iterator[None]:
    """Fill every partition, then go on writing and committing, so that no reading finds what the last one found."""
    chance, stop = random.Random(seed), Event()  # noqa: S311 - a schedule
    producer = Producer(
        runtime.kafka_settings.producer_config() | {"transactional.id": "scraped", "linger.ms": 5},
        logger=client_logger(__name__),
    )
    producer.init_transactions(60)
    for _ in range(BACKLOG // 10):
        _write(producer, topics, 10)
    thread = Thread(target=_go_on, args=(runtime, producer, topics, chance, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def _go_on(
    runtime: LocalRuntime, producer: Producer, topics: TopicSettings, chance: random.Random, stop: Event
) -> None:
    consumers = [
        Consumer(runtime.kafka_settings.client_config() | {"group.id": group}, logger=client_logger(__name__))
        for group in GROUPS
    ]
    committed = 0
    while not stop.wait(1):
        _write(producer, topics, chance.randint(1, 3))
        committed += 2
        for consumer, names in zip(
            consumers, ([topics.requests], [topics.results, topics.dead_letters], [topics.results]), strict=True
        ):
            offsets = [TopicPartition(name, n, committed) for name in names for n in range(topics.partitions)]
            consumer.commit(offsets=offsets, asynchronous=False)
    for consumer in consumers:
        consumer.close()


def _write(producer: Producer, topics: TopicSettings, records: int) -> None:
    """Write one transaction with some records on every partition."""
    producer.begin_transaction()
    for topic in (topics.requests, topics.results, topics.dead_letters):
        for partition in range(topics.partitions):
            for _ in range(records):
                producer.produce(topic, RECORD, partition=partition)
    producer.commit_transaction(60)
