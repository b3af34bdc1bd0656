"""Commits the records of a bulk job and its progress together: both become visible, or neither.

The progress is the offset of a consumer group without members, committed by the same transaction as the records. `open`
fences every earlier producer with the job's `transactional.id`: its transaction is either committed already or aborted
then, and it can write no more. What `open` then reads back is certain, so a process may die at any point.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from sightstream.producers.error_mapping import to_publish_error
from sightstream.producers.errors import InDoubt, PublishError
from sightstream.producers.kafka_clients import (
    ClientConfig,
    ClientFactory,
    OffsetReader,
    TransactionalProducer,
    confluent_clients,
)
from sightstream.producers.progress import Progress
from sightstream.producers.settings import PublisherSettings
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, TopicPartition

# A group's offsets belong to a topic and partition; a job needs one, and they vanish with the topic, as they should.
PARTITION = 0
NAME_PREFIX = "sightstream-publish"  # of groups and transactional ids; ACLs name it
SLICE_S = 0.5
CLOSE_S = 5.0
GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """An encoded request; `location` says where in its source it is."""

    request_id: str
    key: bytes
    value: bytes
    location: str = ""


class TransactionalSink:
    """Writes batches in transactions. `job` names the work and is the same in every run of it. Not thread safe."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: PublisherSettings,
        topic: str,
        job: str,
        clients: ClientFactory | None = None,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._topic = topic
        self._name = f"{NAME_PREFIX}-{job}"
        self._clients = clients or confluent_clients()
        self._producer: TransactionalProducer | None = None
        self._consumer: OffsetReader | None = None
        self._delivery_error: KafkaError | None = None

    def open(self) -> Progress:
        """Fence every earlier producer of this job and return the committed progress.

        Blocks up to about `transaction_timeout_s`. Raises InDoubt when the broker did not answer, PublishError when
        it never will.
        """
        from confluent_kafka import KafkaException, TopicPartition

        self.close()
        budget = self._budget_s
        try:
            self._producer = producer = self._clients.producer(self._producer_config())
            call_with_timeout(producer.init_transactions, budget, timeout_s=budget + GRACE_S)
            self._consumer = consumer = self._clients.consumer(self._consumer_config())
            partition = TopicPartition(self._topic, PARTITION)
            (found,) = call_with_timeout(consumer.committed, [partition], budget, timeout_s=budget + GRACE_S)
            if found.error:
                raise KafkaException(found.error)
        except KafkaException as error:
            raise to_publish_error(error.args[0], None) from None
        except CallTimedOut as error:
            raise InDoubt(f"the broker {error}") from None
        return self._read(found)

    def commit(self, records: Sequence[Record], progress: Progress) -> None:
        """Commit all of `records`, and `progress`, in one transaction.

        Blocks up to about half of `transaction_timeout_s`. Raises InDoubt when the outcome is unknown or the
        transaction failed: call open() again and compare what it returns. Raises Superseded when another run has fenced
        this one, PublishError when trying again can't help or open() has not succeeded.
        """
        from confluent_kafka import KafkaException, TopicPartition

        deadline = monotonic() + self._budget_s
        self._delivery_error = None
        offset = TopicPartition(self._topic, PARTITION, progress.position, progress.metadata())
        producer, consumer = self._producer, self._consumer
        if producer is None or consumer is None:
            raise PublishError("the sink is not open; call open() first")
        try:
            producer.begin_transaction()
            for record in records:
                producer.produce(self._topic, value=record.value, key=record.key, on_delivery=self._on_delivery)
            self._wait_for_reports(producer, deadline)
            group, left_s = consumer.consumer_group_metadata(), _left_s(deadline)
            call_with_timeout(producer.send_offsets_to_transaction, [offset], group, left_s, timeout_s=left_s + GRACE_S)
            left_s = _left_s(deadline)
            call_with_timeout(producer.commit_transaction, left_s, timeout_s=left_s + GRACE_S)
        except KafkaException as error:
            raise to_publish_error(error.args[0], self._delivery_error) from None
        except CallTimedOut as error:
            raise InDoubt(f"the broker {error}") from None

    def close(self) -> None:
        """Drop the clients and abort an open transaction; if the broker does not answer, the next open() aborts it."""
        from confluent_kafka import KafkaException

        producer, self._producer = self._producer, None
        consumer, self._consumer = self._consumer, None
        if producer is not None:
            with suppress(KafkaException, CallTimedOut):
                producer.purge()
                call_with_timeout(producer.abort_transaction, CLOSE_S, timeout_s=CLOSE_S + GRACE_S)
        if consumer is not None:
            with suppress(KafkaException, CallTimedOut):
                call_with_timeout(consumer.close, timeout_s=CLOSE_S)

    @property
    def _budget_s(self) -> float:
        """Half of what the broker allows: we must give up first, or the broker fences us as if we were dead."""
        return self._settings.transaction_timeout_s / 2

    def _wait_for_reports(self, producer: TransactionalProducer, deadline: float) -> None:
        while len(producer) > 0:
            # A fatal error can leave flush as a SystemError without a reason (confluent-kafka 2.16); the next call on
            # the transaction raises the real error.
            with suppress(SystemError):
                producer.flush(SLICE_S)
            if monotonic() > deadline:
                raise InDoubt("the broker did not confirm the batch in time")

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._delivery_error is None:
            self._delivery_error = error

    def _read(self, found: TopicPartition) -> Progress:
        if found.offset < 0:
            return Progress()
        try:
            progress = Progress.from_metadata(found.metadata or "")
        except ValueError:
            progress = Progress(run="foreign")
        if progress.position != found.offset:
            raise PublishError(
                f"the group {self._name} holds offsets of another program; delete the group and run again"
            )
        return progress

    def _producer_config(self) -> ClientConfig:
        return {
            **self._kafka.producer_config(),
            **self._settings.producer_config(),
            "transactional.id": self._name,
            "transaction.timeout.ms": round(self._settings.transaction_timeout_s * 1000),
            "message.timeout.ms": round(self._budget_s * 1000),
            # A whole batch fits into librdkafka's queue, so producing never has to wait.
            "queue.buffering.max.messages": 2 * self._settings.batch_records,
            "queue.buffering.max.kbytes": self._settings.batch_bytes // 512 + 4096,
        }

    def _consumer_config(self) -> ClientConfig:
        """Configure a reader of offsets; read_committed makes it wait for those that are still in a transaction."""
        config = {"group.id": self._name, "isolation.level": "read_committed", "enable.auto.commit": False}
        return {**self._kafka.client_config(), **config}


def _left_s(deadline: float) -> float:
    return max(1.0, deadline - monotonic())
