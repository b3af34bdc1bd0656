"""Moves records from the consumer into the ledgers and the flow, as long as there is free capacity."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from sightstream.consumers.kafka.message import IncompleteMessage, is_fatal, record_id
from sightstream.consumers.metrics import PAUSED, REQUESTS_TAKEN
from sightstream.consumers.worker.admission import Admission, AdmissionControl
from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.consumers.worker.delivery import Delivery, about
from sightstream.consumers.worker.incoming import Incoming, read_message
from sightstream.consumers.worker.ledger import LedgerError
from sightstream.consumers.worker.lost_position import LostPositions
from sightstream.consumers.worker.permissions import check_permission
from sightstream.consumers.worker.request_flow import RequestFlow
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.unreadable.cases import UNREADABLE_CODES, UnreadableBatches
from sightstream.pipeline.errors import Fatal, Rejected

log = logging.getLogger(__name__)

_POSITION_IS_GONE = (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION)
# pause() discards prefetched records and resume() fetches them again. A worker behind a GPU is often full for a
# moment, so it pauses only after being full this long. Must stay far below max.poll.interval.ms.
PAUSE_AFTER_S = 1.0

# Most memory of consumed records that are not published yet, images not included. An ordinary one uses about 5 kB, so
# the number of records (`max_unpublished`) is what bounds them; this holds for requests of any size.
MAX_HELD_BYTES = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Detours:
    """What helps a partition on where the consumer can't: its next offset is gone, or its next batch is unreadable."""

    lost_positions: LostPositions
    unreadable: UnreadableBatches


class Intake:
    """Used by the thread that owns the consumer. `reject` ends deliveries that can't even be read.

    `is_drained` says whether the last poll read all that the consumer had; once closed, nothing more comes.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        consumer: Consumer,
        assignment: Assignment,
        flow: RequestFlow,
        retry_queue: RetryQueue,
        reject: Callable[[Delivery, Rejected], None],
        clock: Callable[[], float],
        detours: Detours,
    ) -> None:
        self._lost_positions, self._unreadable = detours.lost_positions, detours.unreadable
        self._settings, self._consumer, self._assignment = settings, consumer, assignment
        self._flow, self._retry_queue, self._reject = flow, retry_queue, reject
        self._admission = AdmissionControl(settings, retry_queue, flow)
        self._clock = clock
        self._full_since: float | None = None
        self._free_bytes, self._free_questions = MAX_HELD_BYTES, 0
        self._closed = False
        self.is_drained = False

    def close(self) -> None:
        """Consume nothing new from now on; `poll` goes on polling, so that the group still sees this worker."""
        self._closed = True
        self._unreadable.close()

    def poll(self, timeout_s: float) -> bool:
        """Consume up to the free capacity; wait `timeout_s` at most when there is no record. Serves rebalances.

        Returns False at once, without polling, when there is no free capacity; the caller must call again within a
        second. Raises Fatal.
        """
        self._free_bytes = MAX_HELD_BYTES - self._assignment.held_bytes
        self._free_questions = self._flow.free_capacity
        capacity = self._free_capacity()
        full = capacity <= 0
        self.is_drained = self._closed
        PAUSED.set(full)
        if self._is_full_for_a_moment(full):
            return False
        if not full:
            capacity -= self._start_held(capacity)
            capacity -= self._admit_unreadable(capacity)
        self._pause_or_resume(full)
        message = self._consumer.poll(timeout_s)
        while message is not None:
            self._process(message)
            capacity -= 1
            message = self._consumer.poll(0) if capacity > 0 and self._may_start_more else None
        self.is_drained = self._closed or (capacity > 0 and self._may_start_more)
        return True

    def _is_full_for_a_moment(self, full: bool) -> bool:
        if not full:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = self._clock()
        return self._full_since is not None and self._clock() - self._full_since < PAUSE_AFTER_S

    def _free_capacity(self) -> int:
        """Return how many records to consume now. Counting again for each record would cost more than all the rest."""
        if self._closed or not self._may_start_more:
            return 0
        return min(self._free_questions, self._settings.max_unpublished - self._assignment.unpublished)

    @property
    def _may_start_more(self) -> bool:
        """Whether bytes and questions are left. The last record may exceed either, so that every one starts."""
        return self._free_bytes > 0 and self._free_questions > 0

    def _pause_or_resume(self, full: bool) -> None:
        for state in self._assignment:
            blocked = state.held is not None or self._unreadable.blocks(state.partition)
            wanted = full or blocked or not state.ledger.accepts_more
            # Don't pause a partition before it has been read from: a pause right after its assignment could lose the
            # offset to start at (librdkafka #2190).
            if wanted != state.paused and (state.has_polled or not wanted):
                self._set_paused(state, wanted)

    def _set_paused(self, state: PartitionState, paused: bool) -> None:
        change = self._consumer.pause if paused else self._consumer.resume
        change([TopicPartition(self._assignment.topic, state.partition)])
        state.paused = paused

    def _start_held(self, capacity: int) -> int:
        """Start held records for which there is capacity now, and what came behind them. Returns how many."""
        started = 0
        for state in self._assignment:
            while state.held is not None and started < capacity and self._free_questions > 0:
                delivery, state.held = state.held, None
                if not self._start(state, delivery):
                    break
                started += 1
                while state.behind_held and state.held is None:
                    self._process(state.behind_held.popleft())
        return started

    def _process(self, message: Message) -> None:
        error = message.error()
        try:
            if self._unreadable.blocks(partition_number(message)):
                return  # delivered before the pause; the batch's reader says where to go on
            if error is None:
                self._admit(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._reach_end(message)
            elif error.code() in _POSITION_IS_GONE:
                self._lose_position(message)
            elif error.code() in UNREADABLE_CODES:
                self._read_otherwise(message, error)
            else:
                _handle_error(error)
        except (LedgerError, IncompleteMessage) as problem:
            raise Fatal(f"{self._assignment.topic}/{message.partition()}: {problem}") from problem

    def _reach_end(self, message: Message) -> None:
        end = record_id(message)
        if (state := self._assignment.get(end.partition)) and not self._waits_behind(state, message):
            state.advance_to(end.offset)

    def _lose_position(self, message: Message) -> None:
        at = record_id(message)
        if (state := self._assignment.get(at.partition)) and not self._waits_behind(state, message):
            self._lost_positions.add(at.partition)

    def _admit(self, message: Message) -> None:
        at = record_id(message)
        if (state := self._assignment.get(at.partition)) and not self._waits_behind(state, message):
            self._enter(state, read_message(message))

    def _enter(self, state: PartitionState, incoming: Incoming) -> None:
        delivery, problem = incoming
        if problem is None:
            self._start(state, delivery)
        elif state.start(delivery):
            self._count(delivery)
            self._reject(delivery, problem)

    def _read_otherwise(self, message: Message, error: KafkaError) -> None:
        state = self._assignment.get(partition_number(message))
        if state is None:
            _handle_error(error)
        elif not self._waits_behind(state, message):
            self._unreadable.add(state, error)
            self._set_paused(state, True)

    def _admit_unreadable(self, capacity: int) -> int:
        """Enter records that came around the consumer, and return how many. Raises Fatal."""
        if capacity <= 0:
            return 0
        count = 0
        try:
            for state, incoming in self._unreadable.deliveries():
                self._enter(state, incoming)
                count += 1
                if count >= capacity or not self._may_start_more:
                    break
        except LedgerError as problem:
            raise Fatal(f"{self._assignment.topic}: {problem}") from problem
        return count

    def _waits_behind(self, state: PartitionState, message: Message) -> bool:
        """Keep a message, or the end of the partition, that comes after a held record. A pause makes that rare."""
        if state.held is not None:
            state.behind_held.append(message)
        return state.held is not None

    def _start(self, state: PartitionState, delivery: Delivery) -> bool:
        """Start a readable record, or hold it and return False."""
        assert delivery.request is not None  # noqa: S101
        delivery.origin = delivery.origin or self._flow.origin(delivery.request)
        admission = self._admission.decide(delivery, state.ledger.has_spare_metadata)
        if admission is Admission.HOLD and not state.ledger.was_published(delivery.record_id.offset):
            state.hold(delivery)
            if not state.paused:
                self._set_paused(state, True)
            return False
        if not state.start(delivery):
            return True
        self._count(delivery)
        blocker = self._retry_queue.breakers.blocking(delivery)
        if blocker is not None:
            self._retry_queue.wait(delivery, blocker)
        else:
            with about(delivery):
                log.debug("received")
                self._flow.submit(delivery, delivery.request)
        return True

    def _count(self, delivery: Delivery) -> None:
        REQUESTS_TAKEN.inc()
        delivery.received_at = self._clock()
        self._free_bytes -= delivery.held_bytes
        self._free_questions -= delivery.questions


def _handle_error(error: KafkaError) -> None:
    check_permission(error)
    if is_fatal(error):
        raise Fatal(f"the consumer can't go on: {error}")
    log.warning("consumer: %s", error)


def partition_number(message: Message) -> int:
    """Return the partition, -1 for an error that concerns none."""
    partition = message.partition()
    return -1 if partition is None else partition
