"""The worker's memory stays within a bound however much is on its topic, while nothing can be finished."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.ports import free_ports
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings, record_key
from tests.consumers.waiting import wait_for
from tests.faults.harness import WorkerHarness
from tests.memory import peak_mib

pytestmark = pytest.mark.real

# The process that holds the requests, whatever their number: what it has loaded, 1,024 requests that wait (their
# records by far the most of it), and the client's 16 MiB of fetched records. Its children hold none.
WORKER_BOUND_MIB = 400
LARGE_RECORDS, LARGE_RECORD_BYTES = 1500, 600_000


def publish(kafka: KafkaSettings, topics: TopicSettings, count: int, bucket: str) -> None:
    """Publish `count` requests for objects of this bucket, each for a product of its own."""
    producer = Producer(kafka.producer_config() | {"linger.ms": 50, "compression.type": "lz4"})
    request = ImageRequest(
        request_id="r-NUMBER",
        product_id="p-NUMBER",
        image=ImageRef(uri=f"s3://{bucket}/NUMBER.jpg"),
        question="What is it? " * 20,
        submitted_at=datetime.now(UTC),
    )
    value = encode(request)
    for number in range(count):
        digits = str(number)
        key = record_key(f"p-{digits}")
        while True:
            try:
                producer.produce(topics.requests, value.replace(b"NUMBER", digits.encode()), key)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0


def publish_large_records(kafka: KafkaSettings, topics: TopicSettings, count: int) -> None:
    """Publish records that are no requests behind the first request, of its product: their dead letters wait for it."""
    producer = Producer(kafka.producer_config() | {"compression.type": "lz4"})
    for _ in range(count):
        producer.produce(topics.requests, bytes(LARGE_RECORD_BYTES), record_key("p-0"))
        while len(producer) > 20:
            producer.poll(0.1)
    assert producer.flush(120) == 0


def metric(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def consumed(port: int) -> float:
    try:
        return metric(port, "sightstream_worker_requests_taken_total")
    except OSError:
        return 0  # not started yet


def check_bounded(
    runtime: LocalRuntime, topics: TopicSettings, config_file: Path, seconds: float, full: int, fewer_than: int
) -> None:
    """Stall the store for `seconds` after the worker has taken `full` records; check how many more, and its peak."""
    harness = WorkerHarness(runtime.kafka_settings, topics, config_file.parent)
    harness.environment = {"SIGHTSTREAM_CONFIG": str(config_file)}
    (port,) = free_ports(1)
    runtime.s3.pause()
    try:
        worker = harness.start_worker(worker_metrics_port=port, engine_max_batch=512, flow_max_in_flight=4096)
        wait_for(lambda: consumed(port) >= full, 60)
        with pytest.raises(AssertionError):  # it does not end meanwhile
            wait_for(lambda: worker.poll() is not None, seconds)
        assert consumed(port) < fewer_than
        assert peak_mib(worker.pid) < WORKER_BOUND_MIB
        worker.send_signal(signal.SIGTERM)
    finally:
        runtime.s3.resume()
        harness.stop()


def test_a_long_topic_and_a_stalled_store(
    runtime: LocalRuntime, topics: TopicSettings, bucket: str, config_file: Path
) -> None:
    publish(runtime.kafka_settings, topics, 20_000, bucket)
    check_bounded(runtime, topics, config_file, seconds=3, full=500, fewer_than=20_000)


def test_many_large_records_and_a_stalled_store(
    runtime: LocalRuntime, topics: TopicSettings, bucket: str, config_file: Path
) -> None:
    """All together they would fill it twice."""
    publish(runtime.kafka_settings, topics, 1, bucket)
    publish_large_records(runtime.kafka_settings, topics, LARGE_RECORDS)
    assert LARGE_RECORDS * LARGE_RECORD_BYTES > 2 * WORKER_BOUND_MIB * 2**20
    check_bounded(runtime, topics, config_file, seconds=3, full=50, fewer_than=200)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_million_requests_and_a_store_that_is_stalled_for_minutes(
    runtime: LocalRuntime, topics: TopicSettings, bucket: str, config_file: Path
) -> None:
    publish(runtime.kafka_settings, topics, 1_000_000, bucket)
    check_bounded(runtime, topics, config_file, seconds=300, full=500, fewer_than=1_000_000)
