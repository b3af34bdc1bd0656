"""Commits without transactions, as an at-least-once worker does. It exists for the comparison alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.transactions import BY_KEY, InDoubt
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings

FULL_PAUSE_S = 0.1


class PlainCommits:
    """In place of `Transactions`: produces, waits until the brokers have the records, and commits the offsets.

    The producer has the same settings, idempotence and compression included, but no transactional id; the offsets are
    committed without waiting, which is the fastest that a loop without transactions can do safely. A crash between the
    two answers twice.
    """

    def __init__(
        self, kafka: KafkaSettings, transactional_id: str, timeout_s: float, confirm_topic: Callable[[], None]
    ) -> None:
        config = kafka.producer_config() | {"linger.ms": 5, "compression.type": "lz4"}
        self._producer = Producer(config, logger=client_logger(__name__))
        self._timeout_s = timeout_s

    def renew(self) -> None:
        """Do nothing: there is no transaction to end."""

    def commit(
        self,
        records: Iterable[OutgoingRecord],
        offsets: list[TopicPartition],
        consumer: Consumer,
        one_by_one: bool = False,
    ) -> None:
        """Publish the records, then commit the offsets. Raises InDoubt when the records do not arrive in time."""
        for record in records:
            self._produce(record)
        if self._producer.flush(self._timeout_s):
            raise InDoubt("the records did not arrive in time")
        try:
            consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            raise InDoubt(str(error)) from error

    def _produce(self, record: OutgoingRecord) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=[*record.headers],
                    partition=BY_KEY if record.partition is None else record.partition,
                )
                return
            except BufferError:
                self._producer.poll(FULL_PAUSE_S)

    def poll(self) -> None:
        self._producer.poll(0)

    def close(self) -> None:
        self._producer.flush(self._timeout_s)
