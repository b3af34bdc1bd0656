"""Offsets of a deleted topic never count for the topic that is created again under its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.topic_watch import TopicWatch
from sightstream.consumers.worker.transactions import Transactions
from sightstream.consumers.worker.worker import consumer_config
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.resources import create_topics
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings, topic_specs
from tests.consumers.waiting import wait_for
from tests.faults.topic_reader import read_topic

pytestmark = pytest.mark.real

Confirm = Callable[[], None]


class Member:
    """A group's only member, with a transactional producer."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        self.kafka, self.topics, self.group = kafka, topics, uuid4().hex
        self.admin = AdminClient(kafka.client_config())
        self.consumer = Consumer(consumer_config(WorkerSettings(group_id=self.group), kafka))
        self.consumer.subscribe([topics.requests])
        assert wait_for(lambda: self.consumer.poll(0.1) or self.consumer.assignment())
        self.broker = Broker(self.admin, 10)
        topic_id = self.broker.topics([topics.requests])[topics.requests].topic_id
        self.watch = TopicWatch(self.broker, topics.requests, topic_id)

    def create_topic_again(self) -> None:
        self.admin.delete_topics([self.topics.requests])[self.topics.requests].result(30)
        assert wait_for(lambda: not self.broker.topics([self.topics.requests]))
        create_topics(self.kafka, topic_specs(self.topics))

    def commit(self, confirm: Confirm) -> None:
        transactions = Transactions(self.kafka, self.group, 15, confirm)
        transactions.renew()
        record = OutgoingRecord(self.topics.results, b"k", b"v", [])
        transactions.commit([record], [TopicPartition(self.topics.requests, 0, 40)], self.consumer)

    def committed(self) -> int:
        (at,) = self.consumer.committed([TopicPartition(self.topics.requests, 0)], timeout=30)
        return int(at.offset)


@pytest.fixture
def member(runtime: LocalRuntime, topics: TopicSettings) -> Iterator[Member]:
    made = Member(runtime.kafka_settings, topics)
    yield made
    made.consumer.close()


def test_without_a_question_kafka_accepts_the_old_offset_for_the_new_topic(member: Member) -> None:
    """What the worker guards against; if this ever fails, the guard is no longer needed."""
    member.create_topic_again()
    member.commit(confirm=lambda: None)
    assert member.committed() == 40


def test_a_commit_for_a_topic_that_was_created_again_is_aborted(member: Member) -> None:
    member.create_topic_again()
    with pytest.raises(Fatal, match="deleted and created again"):
        member.commit(member.watch.confirm)
    assert member.committed() < 0
    assert read_topic(member.kafka, member.topics.results) == []


def test_offsets_that_were_accepted_for_the_old_topic_are_deleted_with_it(member: Member) -> None:
    """The topic changes in the moment between the answer and the commit: the commit goes through, for nothing."""

    def confirm_too_early() -> None:
        member.watch.confirm()
        member.create_topic_again()

    member.commit(confirm_too_early)
    assert member.committed() < 0
