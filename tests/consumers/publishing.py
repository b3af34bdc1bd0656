"""Publishes outcomes on a real broker in transactions, some aborted, and reads them back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from sightstream.consumers.kafka.message import record_id
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.outcomes import answer, dead_record, result_record, result_v2

Seen = dict[tuple[str, int, int], bytes | None]  # topic, partition, offset -> value


class OutcomePublisher:
    """A transactional producer; outcome `n` is a dead letter when n ends in 7, else a result of product n % 50.

    When n ends in 4 the result is of version 2.
    """

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, name: str | None = None) -> None:
        self._topics = topics
        self.name = name or uuid4().hex
        self._producer = Producer(kafka.producer_config() | {"transactional.id": self.name})
        self._producer.init_transactions(30)

    def publish(self, numbers: range, commit: bool = True) -> None:
        """One transaction; it is aborted, with its records on the topic, when `commit` is false."""
        self.begin(numbers, "" if commit else "aborted-")
        self.end(commit)

    def begin(self, numbers: range, prefix: str = "") -> None:
        """Begin a transaction and wait until its records are on the brokers."""
        self._producer.begin_transaction()
        for number in numbers:
            self._produce(number, prefix)
        self._producer.flush(30)  # an abort must find the records on the broker

    def end(self, commit: bool = True) -> None:
        (self._producer.commit_transaction if commit else self._producer.abort_transaction)(30)

    def _produce(self, number: int, prefix: str) -> None:
        source = RecordId(self._topics.requests, 0, number)
        make, topic = (
            (dead_record, self._topics.dead_letters) if number % 10 == 7 else (result_record, self._topics.results)
        )
        request_id, product_id = f"{prefix}r-{number}", f"p-{number % 50}"
        key, value, headers = make(request_id, product_id, source)
        if number % 10 == 4:
            value = encode(
                result_v2(request_id, product_id, answer("kind", "mug", 0.75), answer("look", {"n": number}))
            )
        self._producer.produce(topic, value, key, headers=[*headers])


@contextmanager
def publish_in_background(kafka: KafkaSettings, topics: TopicSettings) -> Iterator[None]:
    """Publish while the block runs: ten outcomes per transaction, every fourth transaction aborted."""
    stop = threading.Event()
    thread = threading.Thread(target=_publish_until, args=(OutcomePublisher(kafka, topics), stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def _publish_until(publisher: OutcomePublisher, stop: threading.Event) -> None:
    for number in count():
        publisher.publish(range(number * 10, number * 10 + 10), commit=number % 4 != 3)
        if stop.wait(0.02):
            return


def read_all(kafka: KafkaSettings, names: list[str], partitions: int, isolation: str = "read_committed") -> Seen:
    """Return every record that a reader of that isolation level gets."""
    consumer = Consumer(
        kafka.client_config() | {"group.id": uuid4().hex, "isolation.level": isolation, "enable.partition.eof": True}
    )
    left = {(name, partition) for name in names for partition in range(partitions)}
    consumer.assign([TopicPartition(*partition, 0) for partition in left])
    seen: Seen = {}
    while left:
        message = consumer.poll(30)
        assert message is not None, f"no end of {left}"
        error = message.error()
        if error is None:
            at = record_id(message)
            seen[at.topic, at.partition, at.offset] = message.value()
        else:
            assert error.code() == KafkaError._PARTITION_EOF, error.str()
            left.discard((message.topic(), message.partition()))
    consumer.close()
    return seen
