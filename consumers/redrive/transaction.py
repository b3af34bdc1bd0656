"""Publishes requests and markers in Kafka transactions, and names what each way to fail means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sightstream.consumers.redrive.errors import InDoubt, RecordRefused, RedriveError, Superseded
from sightstream.consumers.redrive.protocol import OutgoingRecord
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout
from sightstream.schemas.wire.topics import TopicSettings

TRANSACTION_TIMEOUT_S = 60.0
# We must give up before the broker does: it would fence us as if another run had begun.
BUDGET_S = TRANSACTION_TIMEOUT_S / 2
CLOSE_S = 5.0
GRACE_S = 1.0
SLICE_S = 0.5
# A record that was too large to keep came compressed, so its size here says nothing about what the topic accepts.
MAX_RECORD_BYTES = 64 * 1024 * 1024

_FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
_REFUSED = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_MSG,
)
_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
# Waiting does not help: an access list or a password has to change.
_PERMANENT = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
)


AnyHeaders = list[tuple[str, str | bytes | None]]
OnDelivery = Callable[[KafkaError | None, Message], None]


class TransactionalProducer(Protocol):
    """The part of confluent_kafka.Producer that is used here."""

    def init_transactions(self, timeout: float, /) -> None: ...
    def begin_transaction(self) -> None: ...
    def produce(
        self, topic: str, *, value: bytes | None, key: bytes | None, headers: AnyHeaders, on_delivery: OnDelivery
    ) -> None: ...
    def flush(self, timeout: float, /) -> int: ...
    def commit_transaction(self, timeout: float, /) -> None: ...
    def abort_transaction(self, timeout: float, /) -> None: ...
    def purge(self) -> None: ...
    def __len__(self) -> int: ...


ProducerFactory = Callable[[dict[str, Any]], TransactionalProducer]


def create_producer(config: dict[str, Any]) -> TransactionalProducer:
    return Producer(config, logger=client_logger(__name__))


def transactional_id(topics: TopicSettings) -> str:
    """Return the one id of all runs on a marker topic: whoever uses it next ends and fences whoever used it before."""
    return f"sightstream-redrive-{topics.redrives}"


class RedriveProducer:
    """One producer, replaced by each `open`. Used by one thread."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, create: ProducerFactory = create_producer) -> None:
        self._config: dict[str, Any] = kafka.producer_config() | {
            "transactional.id": transactional_id(topics),
            "transaction.timeout.ms": round(TRANSACTION_TIMEOUT_S * 1000),
            "message.timeout.ms": round(BUDGET_S * 1000),
            "message.max.bytes": MAX_RECORD_BYTES,
            "queue.buffering.max.kbytes": 2 * MAX_RECORD_BYTES // 1024,
            "compression.type": "zstd",
        }
        self._create = create
        self._producer: TransactionalProducer | None = None

    def open(self) -> None:
        """Fence every other producer of this marker topic. Blocks for BUDGET_S at most. Raises RedriveError."""
        self.close()
        producer = self._create(self._config)
        try:
            call_with_timeout(producer.init_transactions, BUDGET_S, timeout_s=BUDGET_S + GRACE_S)
        except KafkaException as error:
            raise _to_error(error.args[0]) from None
        except CallTimedOut as error:
            raise InDoubt(f"the broker {error}") from None
        self._producer = producer

    def commit(self, records: Sequence[OutgoingRecord]) -> None:
        """Commit all records in one transaction. Blocks for about BUDGET_S at most. Raises RedriveError."""
        producer = self._producer
        if producer is None:
            raise InDoubt("there is no producer")
        reports = _Reports()
        deadline = monotonic() + BUDGET_S
        try:
            producer.begin_transaction()
            for record in records:
                _produce(producer, record, reports)
            _wait_for_reports(producer, deadline)
            left_s = max(1.0, deadline - monotonic())
            call_with_timeout(producer.commit_transaction, left_s, timeout_s=left_s + GRACE_S)
        except KafkaException as error:
            self._fail(producer, error.args[0], reports.error)
        except (CallTimedOut, BufferError, SystemError) as error:  # SystemError: confluent-kafka lost the real one
            self._discard()
            raise InDoubt(f"the broker {error}") from None

    def close(self) -> None:
        """Drop the producer and abort an open transaction; without an answer, the next `open` aborts it."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException, CallTimedOut):
                producer.purge()
                call_with_timeout(producer.abort_transaction, CLOSE_S, timeout_s=CLOSE_S + GRACE_S)

    def _fail(self, producer: TransactionalProducer, raised: KafkaError, reported: KafkaError | None) -> None:
        """Raise what the failure means: `raised` is the call's, `reported` a record's, which says more.

        The producer is dropped in any case: after a refused record its sequence numbers have a gap.
        """
        error = raised if reported is None or raised.code() in _FENCED else reported
        if error.code() in _REFUSED:
            with suppress(KafkaException, CallTimedOut):
                call_with_timeout(producer.abort_transaction, CLOSE_S, timeout_s=CLOSE_S + GRACE_S)
            self._discard()
            raise RecordRefused(error.str()) from None
        self._discard()
        raise _to_error(error) from None

    def _discard(self) -> None:
        """Free the producer on another thread: that can wait for the broker. The next `open` ends its transaction."""
        holder = [self._producer]
        self._producer = None
        Thread(target=holder.clear, name="discard-producer", daemon=True).start()


class _Reports:
    """Keeps the first error of a record of one transaction. Records that fail along with it are only purged."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self.error is None and error.code() not in _PURGED:
            self.error = error


def _produce(producer: TransactionalProducer, record: OutgoingRecord, reports: _Reports) -> None:
    headers: AnyHeaders = [*record.headers]
    producer.produce(record.topic, value=record.value, key=record.key, headers=headers, on_delivery=reports)


def _wait_for_reports(producer: TransactionalProducer, deadline: float) -> None:
    """Wait until each record is written or has failed; the commit then raises what failed."""
    while len(producer) > 0:
        with suppress(SystemError):  # the next call on the transaction raises the real error
            producer.flush(SLICE_S)
        if monotonic() > deadline:
            raise CallTimedOut("did not confirm the records in time")


def _to_error(error: KafkaError) -> RedriveError:
    if error.code() in _FENCED:
        return Superseded(
            "another redrive has begun on this marker topic, or this one stalled for too long; wait for the other one "
            "to end, and run again for what is left"
        )
    if error.code() in _PERMANENT:
        return RedriveError(f"the broker refuses: {error.str()}; correct that and run again")
    return InDoubt(f"the transaction failed: {error.str()}")
