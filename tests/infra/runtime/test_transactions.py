"""What the whole product stands on: this broker's transactions are real ones."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings

pytestmark = pytest.mark.real


def transactional(runtime: LocalRuntime, name: str) -> Producer:
    producer = Producer(runtime.kafka_settings.producer_config() | {"transactional.id": name})
    producer.init_transactions(30)
    return producer


def read_until(runtime: LocalRuntime, topic: str, last: bytes, isolation: str) -> list[bytes]:
    """The topic's values up to `last`, as a reader of this isolation level sees them."""
    consumer = Consumer(
        runtime.kafka_settings.client_config()
        | {"group.id": f"{topic}.{isolation}", "auto.offset.reset": "earliest", "isolation.level": isolation}
    )
    consumer.subscribe([topic])
    seen: list[bytes] = []
    deadline = time.monotonic() + 30
    try:
        while last not in seen and time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None and not message.error() and (value := message.value()) is not None:
                seen.append(value)
    finally:
        consumer.close()
    return seen


def test_read_committed_hides_an_aborted_record(runtime: LocalRuntime, topics: TopicSettings) -> None:
    producer = transactional(runtime, f"{topics.results}.writer")
    for value, end in (
        (b"aborted", producer.abort_transaction),
        (b"committed", producer.commit_transaction),
    ):
        producer.begin_transaction()
        producer.produce(topics.results, value, key=b"product")
        producer.flush(10)
        end(10)
    assert read_until(runtime, topics.results, b"committed", "read_committed") == [b"committed"]
    assert read_until(runtime, topics.results, b"committed", "read_uncommitted") == [b"aborted", b"committed"]


def test_an_older_producer_is_fenced(runtime: LocalRuntime, topics: TopicSettings) -> None:
    older = transactional(runtime, f"{topics.results}.slot")
    transactional(runtime, f"{topics.results}.slot")
    older.begin_transaction()
    older.produce(topics.results, b"zombie", key=b"product")
    with pytest.raises(KafkaException) as caught:
        older.commit_transaction(10)
    assert caught.value.args[0].code() == KafkaError._FENCED
    older.purge()
