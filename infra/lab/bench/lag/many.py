"""Measures a reading of very many partitions, and how long it takes until the age of each is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.lag.reader import LagReader, open_lag_reader
from sightstream.consumers.lag.settings import LagSettings
from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.lag.options import LagOptions
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings

TOPIC, GROUP = "many", "bench-many"
TOLERANCE_S = 1.0
CREATED_TOGETHER = 1000


@dataclass(frozen=True, slots=True)
class Many:
    """`offsets_s`: all requests of one reading. `ages_s`: until all ages were right after every one had changed."""

    partitions: int
    offsets_s: float
    ages_s: float
    cpu_percent: float


def measure(runtime: LocalRuntime, options: LagOptions, report: Callable[[str], None]) -> Many:
    """Blocks for minutes. Raises CommandError when the ages do not become right."""
    kafka, number = runtime.kafka_settings, options.many
    report(f"creating {number} partitions")
    admin = AdminClient(kafka.client_config(), logger=client_logger(__name__))
    _create(admin, number, options.timeout_s)
    settings = LagSettings()
    with open_lag_reader(kafka, settings, {GROUP: (TOPIC,)}) as reader:
        written_at = _write(kafka, number)
        _commit(kafka, number, 0)
        offsets_s = _read_offsets(Broker(admin, 30))
        report(f"offsets in {offsets_s:.2f} s")
        _until_right(reader, settings, written_at, options.timeout_s, report)
        began, used_s = time.monotonic(), time.process_time()
        written_at = _write(kafka, number)
        _commit(kafka, number, 1)
        ages_s = _until_right(reader, settings, written_at, options.timeout_s, report)
        cpu_percent = 100 * (time.process_time() - used_s) / (time.monotonic() - began)
    return Many(number, offsets_s, ages_s, cpu_percent)


def _create(admin: AdminClient, number: int, timeout_s: float) -> None:
    admin.create_topics([NewTopic(TOPIC, min(number, CREATED_TOGETHER), 1)])[TOPIC].result(timeout_s)
    for partitions in (*range(2 * CREATED_TOGETHER, number, CREATED_TOGETHER), number):
        if partitions > CREATED_TOGETHER:
            admin.create_partitions([NewPartitions(TOPIC, partitions)])[TOPIC].result(timeout_s)
    deadline = time.monotonic() + timeout_s
    while not _are_led(Broker(admin, timeout_s), number):
        if time.monotonic() > deadline:
            raise CommandError(f"the broker does not lead {number} partitions after {timeout_s:g} s")
        time.sleep(1)


def _are_led(broker: Broker, number: int) -> bool:
    found = broker.replicas([TOPIC])
    try:
        return len(found) == number and len(broker.stable_ends(found)) == number
    except KafkaReadError:
        return False


def _write(kafka: KafkaSettings, number: int) -> float:
    """Write one record on each partition, all of one time; return it, in seconds since 1970."""
    now_ms = int(time.time() * 1000)
    producer = Producer(
        kafka.producer_config() | {"queue.buffering.max.messages": 2 * number}, logger=client_logger(__name__)
    )
    failed: list[object] = []
    for partition in range(number):
        producer.produce(
            TOPIC, b"record", partition=partition, timestamp=now_ms, on_delivery=lambda error, _: failed.append(error)
        )
    if producer.flush(120) or any(failed):
        raise CommandError("the records could not be written")
    return now_ms / 1000


def _commit(kafka: KafkaSettings, number: int, offset: int) -> None:
    consumer = Consumer(kafka.client_config() | {"group.id": GROUP}, logger=client_logger(__name__))
    consumer.commit(offsets=[TopicPartition(TOPIC, n, offset) for n in range(number)], asynchronous=False)
    consumer.close()


def _read_offsets(broker: Broker) -> float:
    """Ask for all that one reading asks for, and return the seconds."""
    start = time.monotonic()
    broker.committed(GROUP)
    broker.membership(GROUP)
    partitions = broker.replicas([TOPIC])
    broker.starts(partitions)
    broker.stable_ends(partitions)
    broker.ends(partitions)
    return time.monotonic() - start


def _until_right(
    reader: LagReader, settings: LagSettings, oldest_at: float, timeout_s: float, report: Callable[[str], None]
) -> float:
    """Read at the exporter's interval until every age is that of the oldest record; return the seconds."""
    start = time.monotonic()
    while time.monotonic() < start + timeout_s:
        began = time.monotonic()
        (group,) = reader.read()
        now, took_s = time.time(), time.monotonic() - began
        ages = [part.seconds for part in group.partitions]
        wrong = sum(age is None or abs(now - age - oldest_at) > took_s + TOLERANCE_S for age in ages)
        report(f"lag {group.records}, {wrong} ages are not right; the reading lasted {took_s:.1f} s")
        if not wrong:
            return time.monotonic() - start
        time.sleep(max(0.0, settings.interval_s - took_s))
    raise CommandError(f"ages are not right after {timeout_s:g} s")
