"""What a group's offsets are while a transaction that holds them is open, on a real broker."""

from __future__ import annotations

from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.types import PartitionId, PendingOffsets
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.waiting import wait_for

pytestmark = pytest.mark.real


def test_offsets_of_an_open_transaction_are_pending_and_then_committed(
    runtime: LocalRuntime, topics: TopicSettings
) -> None:
    kafka, group, partition = runtime.kafka_settings, uuid4().hex, PartitionId(topics.requests, 0)
    broker = Broker(AdminClient(kafka.client_config()), 30)
    consumer = Consumer(kafka.client_config() | {"group.id": group})
    producer = Producer(kafka.producer_config() | {"transactional.id": group})
    producer.init_transactions(30)
    producer.begin_transaction()
    offsets = [TopicPartition(topics.requests, 0, 3)]
    producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
    assert broker.committed(group) == {}
    with pytest.raises(PendingOffsets):
        broker.stable_committed(group, [partition])
    producer.commit_transaction(30)  # returns before the last of its markers is written
    assert wait_for(lambda: broker.committed(group)).keys() == {partition}
    assert broker.stable_committed(group, [partition]).keys() == {partition}
    consumer.close()
