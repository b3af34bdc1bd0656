"""The topics on a real Kafka. Readers have no group offsets: every reading begins at the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.message import headers_of, record_id
from sightstream.consumers.kafka.span_reader import OffsetSpan, read_spans
from sightstream.consumers.kafka.tail import TailConsumer
from sightstream.consumers.kafka.types import MissingTopic, PartitionId
from sightstream.consumers.redrive.errors import InDoubt
from sightstream.consumers.redrive.letter import Record
from sightstream.consumers.redrive.protocol import OutgoingRecord
from sightstream.consumers.redrive.topic_check import check_topics
from sightstream.consumers.redrive.transaction import ProducerFactory, RedriveProducer, create_producer
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.topics import TopicSettings

TIMEOUT_S = 30.0
CLOSE_S = 5.0
GROUP_ID = "sightstream-redrive"  # the client requires one; nothing is ever committed under it


def open_consumer(kafka: KafkaSettings) -> TailConsumer:
    """Return a reader of committed records that holds little of them in memory; it connects at the first reading."""
    return Consumer(
        kafka.client_config()
        | {
            "group.id": GROUP_ID,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # where retention removed the start meanwhile
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 16 * 1024,
            "fetch.queue.backoff.ms": 10,  # by default a full queue costs a second
        },
        logger=client_logger(__name__),
    )


class KafkaTopics:
    """Implements RedriveTopics. `close` it at the end."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, create: ProducerFactory = create_producer) -> None:
        self._kafka, self._topics = kafka, topics
        config: Any = kafka.client_config()
        self._broker = Broker(AdminClient(config, logger=client_logger(__name__)), TIMEOUT_S)
        self._producer = RedriveProducer(kafka, topics, create)
        self._is_open = False

    def check(self) -> None:
        """Raise RedriveError unless the topics are fit for a redrive."""
        check_topics(self._broker, self._topics)

    def open(self) -> None:
        self._producer.open()
        self._is_open = True

    def commit(self, records: Sequence[OutgoingRecord]) -> None:
        self._producer.commit(records)

    def close(self) -> None:
        """Give the producer up. Blocks for some seconds at most."""
        self._producer.close()

    def topic_id(self) -> str:
        name = self._topics.dead_letters
        if (found := self._broker.topics([name]).get(name)) is None:
            raise MissingTopic(f"the topic {name} does not exist")
        return found.topic_id

    def letter_spans(self) -> Mapping[int, OffsetSpan]:
        partitions = self._broker.partitions([self._topics.dead_letters])
        ends, starts = self._broker.stable_ends(partitions), self._broker.starts(partitions)
        return {at.partition: OffsetSpan(starts[at], ends[at]) for at in partitions}

    def letters(self, spans: Mapping[int, OffsetSpan]) -> Iterator[Record]:
        return self._read({PartitionId(self._topics.dead_letters, number): span for number, span in spans.items()})

    def markers(self) -> Iterator[Record]:
        """Yield every committed marker, none where nobody has created their topic yet and nothing is written.

        After `open` it makes sure that no open transaction hides one.
        """
        try:
            partitions = self._broker.partitions([self._topics.redrives])
        except MissingTopic:
            if self._is_open:
                raise
            return
        ends, stable_ends = self._broker.ends(partitions), self._broker.stable_ends(partitions)
        if self._is_open and any(stable_ends[at] < ends[at] for at in partitions):
            raise InDoubt(f"an open transaction on {self._topics.redrives} hides what was redriven behind it")
        starts = self._broker.starts(partitions)
        yield from self._read({at: OffsetSpan(starts[at], stable_ends[at]) for at in partitions})

    def source(self, at: RecordId) -> Record | None:
        partition = PartitionId(at.topic, at.partition)
        try:
            if partition not in self._broker.partitions([at.topic]):
                return None
        except MissingTopic:
            return None
        start, end = self._broker.starts([partition])[partition], self._broker.stable_ends([partition])[partition]
        if not start <= at.offset < end:
            return None
        return next(self._read({partition: OffsetSpan(at.offset, at.offset + 1)}), None)

    def _read(self, spans: Mapping[PartitionId, OffsetSpan]) -> Iterator[Record]:
        with _reader(self._kafka) as consumer:
            for message in read_spans(consumer, spans):
                yield Record(record_id(message), message.key(), message.value(), headers_of(message))


@contextmanager
def _reader(kafka: KafkaSettings) -> Iterator[TailConsumer]:
    """Open a consumer and close it on the way out, also when the reading stops in the middle."""
    consumer = open_consumer(kafka)
    try:
        yield consumer
    finally:
        with suppress(CallTimedOut):
            call_with_timeout(consumer.close, timeout_s=CLOSE_S)
