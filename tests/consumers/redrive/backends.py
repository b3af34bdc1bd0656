"""Real topics with the same handles as the fake ones: put dead letters in, read back what a reader gets."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException, Producer

from sightstream.consumers.kafka.message import headers_of, record_id
from sightstream.consumers.redrive.kafka_topics import KafkaTopics
from sightstream.consumers.redrive.letter import Record
from sightstream.consumers.redrive.transaction import ProducerFactory, create_producer
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.dead_letter import Headers, RecordId
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.topic_reader import read_topic


class RealCluster:
    """The topics of one test on the session's broker."""

    def __init__(self, kafka: KafkaSettings, names: TopicSettings) -> None:
        self.kafka, self.names = kafka, names
        self._producer = Producer(kafka.producer_config() | {"transactional.id": f"{names.requests}-worker"})
        self._producer.init_transactions(30)
        self._at: list[RecordId] = []

    def topics(self, create: ProducerFactory = create_producer) -> KafkaTopics:
        return KafkaTopics(self.kafka, self.names, create)

    def put_letter(self, partition: int, key: bytes | None, value: bytes | None, headers: Headers | None) -> RecordId:
        """Publish one dead letter in a transaction, as a worker does."""
        return self.put_letters([(partition, key, value, headers)])[0]

    def put_letters(
        self, letters: Iterable[tuple[int, bytes | None, bytes | None, Headers | None]], commit: bool = True
    ) -> list[RecordId]:
        self._at = []
        self._producer.begin_transaction()
        for partition, key, value, headers in letters:
            self._producer.produce(
                self.names.dead_letters,
                key=key,
                value=value,
                headers=[*(headers or [])],
                partition=partition,
                on_delivery=self._on_delivery,
            )
        assert self._producer.flush(30) == 0
        (self._producer.commit_transaction if commit else self._producer.abort_transaction)(30)
        return self._at

    def put_request(self, key: bytes | None, value: bytes | None, headers: Headers | None = None) -> RecordId:
        self._at = []
        config: dict[str, Any] = {"message.max.bytes": 16 * 1024**2, "compression.type": "zstd"}
        producer = Producer(self.kafka.producer_config() | config)
        producer.produce(
            self.names.requests, key=key, value=value, headers=[*(headers or [])], on_delivery=self._on_delivery
        )
        assert producer.flush(30) == 0
        return self._at[0]

    @property
    def requests(self) -> list[Record]:
        return self.read(self.names.requests)

    @property
    def markers(self) -> list[Record]:
        return self.read(self.names.redrives)

    def read(self, topic: str) -> list[Record]:
        """Return what a read_committed reader gets once every transaction of a redrive has really ended.

        A commit returns before its end is written to the partitions, and until then readers do not see it.
        """
        self.topics().open()
        messages = read_topic(self.kafka, topic)
        return [Record(record_id(m), m.key(), m.value(), headers_of(m)) for m in messages]

    def _on_delivery(self, error: object, message: Any) -> None:
        assert error is None, error
        self._at.append(record_id(message))


class FaultyProducer:
    """A real producer that calls `on(point)` at named points, where a test ends or delays the run."""

    POINTS = ("opened", "begun", "produced", "committing", "committed")

    def __init__(self, config: dict[str, Any], on: Any) -> None:
        self._real, self._on = create_producer(config), on

    def init_transactions(self, timeout: float, /) -> None:
        self._real.init_transactions(timeout)
        self._on("opened")

    def begin_transaction(self) -> None:
        self._real.begin_transaction()
        self._on("begun")

    def produce(self, topic: str, **record: Any) -> None:
        self._real.produce(topic, **record)

    def flush(self, timeout: float, /) -> int:
        return self._real.flush(timeout)

    def commit_transaction(self, timeout: float, /) -> None:
        self._on("produced")
        with ThreadPoolExecutor(1) as other_thread:
            reply = other_thread.submit(self._real.commit_transaction, timeout)
            self._on("committing")  # the request is on its way, or not yet
            reply.result()
        self._on("committed")

    def abort_transaction(self, timeout: float, /) -> None:
        self._real.abort_transaction(timeout)

    def purge(self) -> None:
        with suppress(KafkaException):
            self._real.purge()

    def __len__(self) -> int:
        return len(self._real)
