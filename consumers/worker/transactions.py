"""Commits outcomes and offsets in one Kafka transaction, and names what each way to fail means.

The work is done before a transaction begins, so that none stays open longer than a commit: an open one delays every
`read_committed` reader. Offsets are sent with the group's metadata (KIP-447), so that a worker which has lost its
partitions can't commit for them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import NoReturn, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.worker.permissions import check_permission
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_PAUSE_S = 0.1
MAX_FENCINGS_PER_MINUTE = 6

BY_KEY = -1  # the client's word for "the partitioner decides"

# The errors that concern records and not the state of the broker.
_REFUSALS = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD)


class CommitError(Exception):
    """A transaction did not go through."""


class NotAMember(CommitError):
    """The group does not count us as a member now, and Kafka would not fence this commit. Nothing was sent."""


class Aborted(CommitError):
    """The transaction was aborted and nothing became visible. Retry it unchanged."""


class RecordsRefused(Aborted):
    """The transaction was aborted: the topic of these `records` does not accept them, however often they are sent.

    A broker refuses a whole batch. Only where `records` is one record is that the one which it refuses.
    """

    def __init__(self, records: list[OutgoingRecord], error: KafkaError) -> None:
        super().__init__(f"{records[0].topic} refuses {len(records)} records: {error.str()}")
        self.records = records


class InDoubt(CommitError):
    """The transaction may or may not be committed: call `renew`, read the committed offsets, and go on from there."""


class Transactions:
    """One transactional producer, replaced whenever its state is unknown. Used by one thread."""

    def __init__(
        self,
        kafka: KafkaSettings,
        transactional_id: str,
        timeout_s: float,
        confirm_topic: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = kafka.producer_config() | {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": round(timeout_s * 1000),
            "linger.ms": 5,
            "compression.type": "lz4",
            "delivery.report.only.error": True,
        }
        self._id, self._confirm_topic = transactional_id, confirm_topic
        # Two calls and the produce before them must end sooner than the broker's own limit, or it fences us.
        self._call_timeout_s = timeout_s / 3
        self._clock = clock
        self._producer: Producer | None = None
        self._refused: list[tuple[OutgoingRecord, KafkaError]] = []
        self._fencings: deque[float] = deque(maxlen=MAX_FENCINGS_PER_MINUTE)

    def renew(self) -> None:
        """Start a fresh producer, which ends the open transaction of this id and fences any other producer with it.

        Blocks. Raises InDoubt while the broker can't be reached, Fatal when a permission is missing.
        """
        self._discard()
        producer = Producer(self._config, logger=client_logger(__name__))
        try:
            self._call(producer.init_transactions, self._call_timeout_s)
        except (KafkaException, CallTimedOut) as error:
            if isinstance(error, KafkaException):
                check_permission(error.args[0])
            raise InDoubt(f"the producer can't start: {error}") from error
        self._producer = producer

    def commit(
        self,
        records: Iterable[OutgoingRecord],
        offsets: list[TopicPartition],
        consumer: Consumer,
        one_by_one: bool = False,
    ) -> None:
        """Commit all of it or nothing. Blocks for about the transaction timeout at most.

        `one_by_one` sends each record in a batch of its own, so that a refusal names it.
        Raises a CommitError, or Fatal when another live worker uses the same name, the topic is another one than at
        start, or a permission is missing.
        """
        if self._producer is None:
            raise InDoubt("there is no producer")
        group = consumer.consumer_group_metadata()
        # Read the member id after the metadata: if the group had excluded us before, it would be empty now, and it
        # stays so until the next poll. Kafka checks no generation for a commit without a member id.
        if not consumer.memberid():
            raise NotAMember("not a member of the group")
        self._refused = []
        try:
            self._producer.begin_transaction()
            for record in records:
                self._produce(record)
                if one_by_one:
                    self._flush()
            self._call(self._producer.send_offsets_to_transaction, offsets, group, self._call_timeout_s)
            self._confirm_topic()  # only now: Kafka deletes accepted offsets together with their topic
            self._call(self._producer.commit_transaction, self._call_timeout_s)
        except KafkaException as error:
            self._fail(error)
        except KafkaReadError as error:
            self._abort_or_discard(error)
        except Fatal:
            self._abort()
            raise
        except (CallTimedOut, SystemError) as error:  # SystemError: confluent-kafka lost the real one
            self._discard()
            raise InDoubt(str(error)) from error

    def poll(self) -> None:
        """Let the producer hand over its log lines, which would pile up while there is nothing to commit."""
        if self._producer is not None:
            with suppress(KafkaException, SystemError):
                self._producer.poll(0)

    def close(self) -> None:
        """Give the producer up. The next one with its id ends its open transaction, or the broker does after a time."""
        self._discard()

    # The producer stays in `self` alone: a local variable could be its last owner, and then free it on this thread.

    def _produce(self, record: OutgoingRecord) -> None:
        assert self._producer is not None  # noqa: S101
        on_delivery = partial(_note_refusal, self._refused, record)
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=[*record.headers],
                    partition=BY_KEY if record.partition is None else record.partition,
                    on_delivery=on_delivery,
                )
                return
            except BufferError:
                self._producer.poll(RETRY_PAUSE_S)
            except KafkaException as error:  # the client itself refuses it
                on_delivery(error.args[0], None)
                raise

    def _flush(self) -> None:
        assert self._producer is not None  # noqa: S101
        self._call(self._producer.flush, self._call_timeout_s)
        if self._refused:
            raise KafkaException(self._refused[0][1])

    def _call(self, call: Callable[..., T], *arguments: object) -> T:
        """Call; repeat a retriable failure with the same arguments, as the protocol asks, within the timeout."""
        deadline = self._clock() + self._call_timeout_s
        while True:
            try:
                return call_with_timeout(call, *arguments, timeout_s=2 * self._call_timeout_s)
            except KafkaException as error:
                if not error.args[0].retriable() or self._clock() > deadline:
                    raise
                time.sleep(RETRY_PAUSE_S)

    def _fail(self, error: KafkaException) -> NoReturn:
        reason: KafkaError = error.args[0]
        log.warning("transaction failed: %s", reason)
        if (reason.txn_requires_abort() or self._refused) and self._abort():
            if self._refused:
                raise RecordsRefused([record for record, _ in self._refused], self._refused[0][1]) from error
            check_permission(reason)
            raise Aborted(str(reason)) from error
        self._discard()
        check_permission(reason)
        if reason.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED):
            self._count_fencing()
        raise InDoubt(str(reason)) from error

    def _abort_or_discard(self, error: KafkaReadError) -> NoReturn:
        if self._abort():
            raise Aborted(str(error)) from error
        self._discard()
        raise InDoubt(str(error)) from error

    def _abort(self) -> bool:
        assert self._producer is not None  # noqa: S101
        try:
            self._call(self._producer.abort_transaction, self._call_timeout_s)
        except (KafkaException, CallTimedOut) as error:
            log.warning("abort failed: %s", error)
            return False
        return True

    def _count_fencing(self) -> None:
        """Raise Fatal at repeated fencing: one may come from our own previous run, more mean a second live worker."""
        self._fencings.append(self._clock())
        if len(self._fencings) == MAX_FENCINGS_PER_MINUTE and self._fencings[-1] - self._fencings[0] < 60:
            raise Fatal(
                f"another live worker uses the name {self._id!r}; give each worker its own SIGHTSTREAM_WORKER_NAME"
            )

    def _discard(self) -> None:
        """Free the producer on another thread: that can wait for the broker."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge(in_queue=True, in_flight=True, blocking=False)
            holder = [producer]
            del producer
            threading.Thread(target=holder.clear, name="discard-producer", daemon=True).start()


def _note_refusal(
    refused: list[tuple[OutgoingRecord, KafkaError]],
    record: OutgoingRecord,
    error: KafkaError | None,
    _: Message | None,
) -> None:
    if error is not None and error.code() in _REFUSALS:
        refused.append((record, error))
