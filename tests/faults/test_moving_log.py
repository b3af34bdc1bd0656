"""The request topic moves under the workers: created again, shortened, compacted; offsets forgotten or past the end."""

from __future__ import annotations

import signal
import subprocess
import urllib.request

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from sightstream.consumers.kafka.broker import Broker
from sightstream.infra.runtime.resources import create_topics
from sightstream.schemas.wire.topics import topic_specs
from tests.faults.harness import WorkerHarness, wait_for
from tests.faults.test_worker import free_port

pytestmark = pytest.mark.real


@pytest.fixture
def admin(harness: WorkerHarness) -> AdminClient:
    return AdminClient(harness.kafka.client_config())


def stop(worker: subprocess.Popen[bytes], harness: WorkerHarness) -> None:
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(40) == 0, harness.logs()


def create_again(admin: AdminClient, harness: WorkerHarness) -> None:
    admin.delete_topics([harness.topics.requests])[harness.topics.requests].result(30)
    wait_for(lambda: harness.topics.requests not in admin.list_topics(timeout=10).topics, "the topic is gone")
    create_topics(harness.kafka, topic_specs(harness.topics))


def set_offset(admin: AdminClient, harness: WorkerHarness, offset: int) -> None:
    offsets = [TopicPartition(harness.topics.requests, p, offset) for p in range(harness.topics.partitions)]
    futures = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(harness.group, offsets)])
    futures[harness.group].result(30)


def removed_offsets(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return float(
        next(line for line in lines if line.startswith("sightstream_worker_removed_before_read_total")).split()[1]
    )


def partition_ends(admin: AdminClient, harness: WorkerHarness) -> dict[int, int]:
    broker = Broker(admin, 30)
    return {at.partition: end for at, end in broker.stable_ends(broker.partitions([harness.topics.requests])).items()}


@pytest.mark.soak
def test_a_topic_that_is_created_again_stops_the_worker_and_is_answered_when_told(
    harness: WorkerHarness, admin: AdminClient
) -> None:
    """To the worker the new topic looks as if 60 requests had come behind its offsets: it was asleep meanwhile."""
    harness.publish(40)
    worker = harness.start_worker()
    harness.check_exactly_once()
    worker.send_signal(signal.SIGSTOP)
    create_again(admin, harness)
    harness.publish(100)
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(60) == 1, harness.logs()
    assert "deleted and created again" in harness.logs()
    assert harness.start_worker().wait(60) == 1  # not even after a restart is it mistaken for a fresh group
    assert "has no offsets on" in harness.logs()
    assert len(harness.outcomes().sources) == 40
    harness.options = ["--from-beginning"]
    harness.start_worker()
    assert len(harness.wait_outcomes(140).sources) == 140


def test_an_offset_outside_the_log_is_passed_over_or_stops_the_worker(
    harness: WorkerHarness, admin: AdminClient
) -> None:
    harness.publish(60, products=1)
    set_offset(admin, harness, 0)
    partition = next(partition for partition, end in partition_ends(admin, harness).items() if end)
    at = TopicPartition(harness.topics.requests, partition, 30)
    admin.delete_records([at])[TopicPartition(at.topic, at.partition)].result(30)
    port = free_port()
    worker = harness.start_worker(worker_metrics_port=port)
    found = harness.wait_outcomes(30)
    assert len(found.sources) == len(set(found.sources)) == 30
    assert removed_offsets(port) == 30
    assert "30 offsets between 0 and 30 left the topic before they were read" in harness.logs()
    stop(worker, harness)
    set_offset(admin, harness, 1000)
    assert harness.start_worker().wait(60) == 1
    assert "the next offset is 1000, but the topic ends at" in harness.logs()


@pytest.mark.soak
def test_a_group_past_the_end_starts_anew_when_told(harness: WorkerHarness, admin: AdminClient) -> None:
    harness.publish(20)
    set_offset(admin, harness, 1000)
    harness.options = ["--from-beginning"]
    stop_after(harness, 20)
    harness.options = []
    harness.publish(20)
    harness.start_worker()
    harness.check_exactly_once()


@pytest.mark.soak
def test_a_group_whose_offsets_are_forgotten_answers_nothing_twice(harness: WorkerHarness, admin: AdminClient) -> None:
    harness.publish(20)
    stop_after(harness, 20)
    admin.delete_consumer_groups([harness.group])[harness.group].result(30)
    assert harness.start_worker().wait(60) == 1
    assert "has no offsets on" in harness.logs()
    assert "--from-beginning" in harness.logs()
    assert len(harness.outcomes().sources) == 20


@pytest.mark.soak
def test_a_compacted_request_topic_stops_the_worker(harness: WorkerHarness, admin: AdminClient) -> None:
    harness.publish(8)
    worker = harness.start_worker()
    harness.check_exactly_once()
    entry = ConfigEntry("cleanup.policy", "compact,delete", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, harness.topics.requests, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(30)
    assert worker.wait(60) == 1, harness.logs()
    assert "is compacted (cleanup.policy=compact,delete)" in harness.logs()
    assert harness.start_worker().wait(60) == 1


def stop_after(harness: WorkerHarness, outcomes: int) -> None:
    worker = harness.start_worker()
    harness.wait_outcomes(outcomes)
    stop(worker, harness)
