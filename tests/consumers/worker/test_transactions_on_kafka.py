"""Records that a real broker or the client refuses: which one is named, and that the transaction leaves no trace."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.transactions import CommitError, InDoubt, RecordsRefused, Transactions
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.harness import wait_for
from tests.faults.topic_reader import read_topic

pytestmark = pytest.mark.real


class Member:
    """A member of a group that owns every partition of the request topic, and its transactions."""

    def __init__(self, runtime: LocalRuntime, topics: TopicSettings) -> None:
        self.kafka, self.topics = runtime.kafka_settings, topics
        group = uuid4().hex
        self.consumer = Consumer(self.kafka.client_config() | {"group.id": group, "enable.auto.commit": False})
        self.consumer.subscribe([topics.requests])
        wait_for(lambda: self.consumer.poll(0.1) is None and bool(self.consumer.assignment()), "an assignment")
        self.transactions = Transactions(self.kafka, group, 10, confirm_topic=lambda: None)
        self.transactions.renew()

    def commit(self, *records: OutgoingRecord, one_by_one: bool = False) -> None:
        self.transactions.commit(records, [TopicPartition(self.topics.requests, 0, 1)], self.consumer, one_by_one)

    def commit_until_done(self, *records: OutgoingRecord) -> None:
        """Repeat as the committer does: after a refusal the client needs a new epoch, which can cost one more try."""
        for _ in range(20):
            try:
                return self.commit(*records, one_by_one=True)
            except InDoubt:
                self.transactions.renew()
            except RecordsRefused:
                raise
            except CommitError:
                pass
        raise AssertionError("no commit went through")

    def dead_letter(self, size: int, key: bytes = b"k") -> OutgoingRecord:
        return OutgoingRecord(self.topics.dead_letters, key, size * b"x", [("mine", b"1")], Reason.MALFORMED)

    def limit(self, topic: str, **settings: str) -> None:
        changes = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changes)
        admin = AdminClient(self.kafka.client_config())
        admin.incremental_alter_configs([resource])[resource].result(30)


@pytest.fixture
def member(runtime: LocalRuntime, make_topics: Callable[..., TopicSettings]) -> Iterator[Member]:
    started = Member(runtime, make_topics(partitions=1))
    yield started
    started.transactions.close()
    started.consumer.close()


def values(member: Member) -> list[int]:
    return [len(message.value() or b"") for message in read_topic(member.kafka, member.topics.dead_letters)]


def test_a_record_that_the_client_refuses_is_named_and_the_next_transaction_goes_through(member: Member) -> None:
    large = member.dead_letter(3 * 1024**2)
    with pytest.raises(RecordsRefused) as caught:
        member.commit(member.dead_letter(5), large, member.dead_letter(6))
    assert caught.value.records == [large]
    smaller = large.without_original(0)
    assert smaller is not None
    member.commit(member.dead_letter(5), smaller, member.dead_letter(6))
    assert values(member) == [5, 0, 6]


def test_a_record_that_the_broker_refuses_is_named(member: Member) -> None:
    member.limit(member.topics.dead_letters, max_message_bytes="2000")
    large = OutgoingRecord(member.topics.dead_letters, b"k", os.urandom(5000), [], Reason.MALFORMED)
    with pytest.raises(RecordsRefused) as caught:
        member.commit(large)
    assert caught.value.records == [large]
    member.commit_until_done(member.dead_letter(5))
    assert values(member) == [5]


def test_a_batch_that_the_broker_refuses_names_all_of_it_and_one_by_one_it_goes_through(member: Member) -> None:
    member.limit(member.topics.dead_letters, max_message_bytes="2000")
    records = [OutgoingRecord(member.topics.dead_letters, b"k", os.urandom(900), []) for _ in range(5)]
    with pytest.raises(RecordsRefused) as caught:
        member.commit(*records)
    assert caught.value.records == records
    member.commit_until_done(*records)
    assert values(member) == [900] * 5


def test_a_record_without_a_key_on_a_compacted_topic_is_named_when_it_is_sent_alone(member: Member) -> None:
    member.limit(member.topics.dead_letters, cleanup_policy="compact")
    keyless = OutgoingRecord(member.topics.dead_letters, None, b"v", [], Reason.MALFORMED)
    with pytest.raises(RecordsRefused) as caught:
        member.commit(member.dead_letter(5), keyless, one_by_one=True)
    assert caught.value.records == [keyless]
    assert values(member) == []
