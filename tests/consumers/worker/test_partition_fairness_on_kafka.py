"""A partition that comes later is read beside one with a deep backlog, not behind it."""

from __future__ import annotations

import json
import os
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.worker import consumer_config
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.waiting import wait_for

pytestmark = pytest.mark.real

BACKLOG = 30_000


def read_before(consumer: Consumer, partition: int, most: int) -> int:
    """Return how many records of other partitions are delivered before the first one of this partition."""
    for count in range(most):
        message = consumer.poll(30)
        assert message is not None
        if message.error() is None and message.partition() == partition:
            return count
    return most


def test_a_partition_that_comes_later_does_not_wait_for_the_backlog_of_another(
    runtime: LocalRuntime, topics: TopicSettings
) -> None:
    kafka, topic = runtime.kafka_settings, topics.requests
    producer = Producer(kafka.producer_config())
    for number in range(2 * BACKLOG):
        producer.produce(topic, os.urandom(400), b"k", number % 2)
        if number % 5000 == 0:
            producer.flush(30)
    assert producer.flush(30) == 0
    queued: list[int] = []

    def note_queue(statistics: str) -> None:
        queued.append(json.loads(statistics)["topics"][topic]["partitions"]["0"]["fetchq_cnt"])

    def is_full() -> bool:
        """Return whether the client has fetched ahead as far as it wants to; each look consumes a record."""
        consumer.poll(0)
        return len(queued) > 3 and queued[-1] > 100 and queued[-3] - queued[-1] in range(20)

    watched = {"statistics.interval.ms": 200, "stats_cb": note_queue}
    consumer = Consumer(consumer_config(WorkerSettings(group_id=uuid4().hex), kafka) | watched)
    consumer.assign([TopicPartition(topic, 0, 0)])
    wait_for(is_full, every_s=0.1)
    consumer.incremental_assign([TopicPartition(topic, 1, 0)])
    assert read_before(consumer, partition=1, most=BACKLOG) < BACKLOG * 2 // 3
    consumer.close()
