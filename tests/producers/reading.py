"""Reads a topic to its end."""

from __future__ import annotations

import time
from typing import Any

from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import decode_request
from sightstream.schemas.wire.request import ImageRequest

DEADLINE_S = 60.0


def read_all(kafka: KafkaSettings, topic: str, isolation: str = "read_committed") -> list[Any]:
    """Every record that such a reader can see now, in order within each partition."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    config = {"group.id": "test-reader", "isolation.level": isolation, "enable.partition.eof": True}
    consumer = Consumer({**kafka.client_config(), **config, "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found, ended, deadline = [], set(), time.monotonic() + DEADLINE_S
    while len(ended) < len(partitions):
        assert time.monotonic() < deadline, "the end of the topic was not reached"
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() is None:
            found.append(message)
        elif message.error().code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
    consumer.close()
    return found


def requests_on(kafka: KafkaSettings, topic: str) -> list[ImageRequest]:
    """What a worker would take."""
    return [decode_request(message.value()) for message in read_all(kafka, topic)]


def high_watermark(kafka: KafkaSettings, topic: str) -> int:
    """How many offsets the topic has, over all partitions, open and aborted transactions included."""
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
