"""One transactional producer of a bulk job: records and progress become visible together, or not at all.

The progress is committed as the offset of a consumer group that has no members, by the same transaction that carries
the records. `open` takes over the job's `transactional.id`, which ends whatever an earlier producer left half done:
its transaction is either committed already or is aborted then, and that producer can write no more. What `open` then
reads back is the truth, so a process may die anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from sightstream.producers.error_mapping import to_publish_error
from sightstream.producers.errors import InDoubt, PublishError
from sightstream.producers.progress import Progress
from sightstream.producers.settings import PublisherSettings
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout

# A group's offsets belong to a topic and partition; a job needs one, and they vanish with the topic, as they should.
PARTITION = 0
SLICE_S = 0.5
CLOSE_S = 5.0
GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """A request, encoded."""

    request_id: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ClientFactory:
    """Both take a librdkafka configuration."""

    producer: Callable[[dict[str, Any]], Any]
    consumer: Callable[[dict[str, Any]], Any]


class TransactionalSink:
    """Not thread safe. `job` names the work and is the same in every run of it."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: PublisherSettings,
        topic: str,
        job: str,
        connect: ClientFactory | None = None,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._topic = topic
        self._name = f"sightstream-publish-{job}"
        self._connect = connect or _confluent()
        self._producer: Any = None
        self._consumer: Any = None
        self._delivery_error: Any = None

    def open(self) -> Progress:
        """Fences every earlier producer of this job and reads the committed progress.

        Blocks up to about `transaction_timeout_s`. Raises InDoubt when the broker did not answer, PublishError when
        it never will.
        """
        from confluent_kafka import KafkaException, TopicPartition

        self.close()
        budget = self._budget_s
        try:
            self._producer = self._connect.producer(self._producer_config())
            call_with_timeout(self._producer.init_transactions, budget, timeout_s=budget + GRACE_S)
            self._consumer = self._connect.consumer(self._consumer_config())
            partition = TopicPartition(self._topic, PARTITION)
            (found,) = call_with_timeout(self._consumer.committed, [partition], budget, timeout_s=budget + GRACE_S)
            if found.error:
                raise KafkaException(found.error)
        except KafkaException as error:
            raise to_publish_error(error.args[0], None) from None
        except CallTimedOut as error:
            raise InDoubt(f"the broker {error}") from None
        return self._read(found)

    def commit(self, records: Sequence[Record], progress: Progress) -> None:
        """One transaction: all of `records`, and `progress`. Blocks up to about half of `transaction_timeout_s`.

        Raises InDoubt when the outcome is unknown or the transaction failed: open() again, and look at what it
        returns. Raises Superseded when another run has fenced this one, PublishError when trying again can't help.
        """
        from confluent_kafka import KafkaException, TopicPartition

        deadline = monotonic() + self._budget_s
        self._delivery_error = None
        offset = TopicPartition(self._topic, PARTITION, progress.position, progress.metadata())
        producer = self._producer
        try:
            producer.begin_transaction()
            for record in records:
                self._produce(record)
            self._wait_for_reports(deadline)
            group, left = self._consumer.consumer_group_metadata(), _left(deadline)
            call_with_timeout(producer.send_offsets_to_transaction, [offset], group, left, timeout_s=left + GRACE_S)
            left = _left(deadline)
            call_with_timeout(producer.commit_transaction, left, timeout_s=left + GRACE_S)
        except KafkaException as error:
            raise to_publish_error(error.args[0], self._delivery_error) from None
        except CallTimedOut as error:
            raise InDoubt(f"the broker {error}") from None

    def close(self) -> None:
        """Drops the producer. An open transaction is aborted if the broker answers at once; if not, open() ends it."""
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
        """Half of what the broker allows: it must be us who give up, or the broker fences us as if we were dead."""
        return self._settings.transaction_timeout_s / 2

    def _produce(self, record: Record) -> None:
        self._producer.produce(self._topic, value=record.value, key=record.key, on_delivery=self._report)

    def _wait_for_reports(self, deadline: float) -> None:
        while len(self._producer) > 0:
            # A fatal error can leave flush as a SystemError that says nothing (confluent-kafka 2.16); the next call on
            # the transaction says it properly.
            with suppress(SystemError):
                self._producer.flush(SLICE_S)
            if monotonic() > deadline:
                raise InDoubt("the broker did not confirm the batch in time")

    def _report(self, error: Any, message: Any) -> None:
        if error is not None and self._delivery_error is None:
            self._delivery_error = error

    def _read(self, found: Any) -> Progress:
        if found.offset < 0:
            return Progress()
        try:
            progress = Progress.from_metadata(found.metadata or "")
        except ValueError:
            progress = Progress(run="foreign")
        if progress.position != found.offset:
            raise PublishError(
                f"the group {self._name} holds offsets that are not ours; delete the group and run again"
            )
        return progress

    def _producer_config(self) -> dict[str, Any]:
        return {
            **self._kafka.producer_config(),
            **self._settings.producer_config(),
            "transactional.id": self._name,
            "transaction.timeout.ms": round(self._settings.transaction_timeout_s * 1000),
            "message.timeout.ms": round(self._budget_s * 1000),
            # A whole batch fits into librdkafka's queue, so producing never has to wait for room.
            "queue.buffering.max.messages": 2 * self._settings.batch_records,
            "queue.buffering.max.kbytes": self._settings.batch_bytes // 512 + 4096,
        }

    def _consumer_config(self) -> dict[str, Any]:
        """It never subscribes; read_committed makes it wait for offsets whose transaction is not settled yet."""
        config = {"group.id": self._name, "isolation.level": "read_committed", "enable.auto.commit": False}
        return {**self._kafka.client_config(), **config}


def _left(deadline: float) -> float:
    return max(1.0, deadline - monotonic())


def _confluent() -> ClientFactory:
    from confluent_kafka import Consumer, Producer

    log = logging.getLogger("sightstream.producers.librdkafka")
    return ClientFactory(
        producer=lambda config: Producer(config, logger=log),
        consumer=lambda config: Consumer(config, logger=log),
    )
