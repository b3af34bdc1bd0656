"""Helpers that read a topic to its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import decode_request
from sightstream.schemas.wire.request import ImageRequest

if TYPE_CHECKING:
    from confluent_kafka import Message

DEADLINE_S = 60.0


def read_all(kafka: KafkaSettings, topic: str, isolation: str = "read_committed") -> list[Message]:
    """Return every record that such a reader can see now, in order within each partition."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    config = {"group.id": "test-reader", "isolation.level": isolation, "enable.partition.eof": True}
    consumer = Consumer({**kafka.client_config(), **config, "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found: list[Message] = []
    ended: set[int | None] = set()
    deadline = time.monotonic() + DEADLINE_S
    while len(ended) < len(partitions):
        assert time.monotonic() < deadline, "the end of the topic was not reached"
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is None:
            found.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
    consumer.close()
    return found


def requests_on(kafka: KafkaSettings, topic: str) -> list[ImageRequest]:
    """Return the requests that a worker would see."""
    return [decode_request(message.value()) for message in read_all(kafka, topic)]


def high_watermark(kafka: KafkaSettings, topic: str) -> int:
    """Return the number of offsets over all partitions, open and aborted transactions included."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer = Consumer({**kafka.client_config(), "group.id": "test-watermarks"})
    deadline = time.monotonic() + DEADLINE_S
    try:
        while True:
            try:
                partitions = consumer.list_topics(topic, 10).topics[topic].partitions
                ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1] for number in partitions]
                return sum(ends)
            except KafkaException:  # a leader that has only just been elected
                if time.monotonic() > deadline:
                    raise
    finally:
        consumer.close()
