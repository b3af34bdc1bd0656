"""Decides when to commit and what belongs into the transaction, and recovers from one that failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from sightstream.consumers.metrics import COMMIT_SECONDS, COMMITS, DEAD_LETTERS, IN_DOUBT, RESULTS
from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.consumers.worker.commit_timer import CommitTimer
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.ledger import CommitPoint
from sightstream.consumers.worker.progress_log import CommittedCounts
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.request_spans import RequestSpans
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.transactions import (
    Aborted,
    CommitError,
    InDoubt,
    NotAMember,
    RecordsRefused,
    Transactions,
)
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES

log = logging.getLogger(__name__)

PAUSE_AFTER_FAILURE_S = 1.0
# Bounded, so that a commit stays within its time limit on a slow link however much is ready.
MAX_TRANSACTION_BYTES = 8 * 1024**2
# One round trip for each record: few, so that the transaction stays within its time limit.
MAX_RECORDS_ONE_BY_ONE = 16


@dataclass(frozen=True, slots=True)
class PartitionCommit:
    """One partition's part of a transaction."""

    state: PartitionState
    ready: dict[int, OutgoingRecord]
    point: CommitPoint


@dataclass(slots=True)
class TransactionBudget:
    """The records and bytes that still fit one transaction. The first record always fits."""

    remaining_records: int
    remaining_bytes: int
    _used: bool = False

    def admits(self, record: OutgoingRecord) -> bool:
        self.remaining_records -= 1
        self.remaining_bytes -= record.size_bytes
        fits = not self._used or (self.remaining_records >= 0 and self.remaining_bytes >= 0)
        self._used = True
        return fits


class Committer:
    """Used by the thread that owns the consumer."""

    def __init__(
        self,
        settings: WorkerSettings,
        topic: str,
        assignment: Assignment,
        transactions: Transactions,
        consumer: Consumer,
        clock: Callable[[], float],
        spans: RequestSpans | None = None,
    ) -> None:
        """`spans` is None while nothing is traced."""
        self._spans = spans
        self._batch_records, self._topic, self._clock = settings.commit_batch_records, topic, clock
        self._assignment, self._transactions, self._consumer = assignment, transactions, consumer
        self._in_doubt = True
        self._one_by_one = False
        self._timer = CommitTimer(settings.commit_interval_s)
        self.counts = CommittedCounts()

    def start(self) -> bool:
        """End the transaction that a predecessor of the same name left open. Blocks.

        Returns False when the broker can't be reached yet.
        """
        try:
            self._resolve_doubt()
        except InDoubt as error:
            log.warning("no transactions yet: %s", error)
        return not self._in_doubt

    def commit_if_due(self, more_expected: bool) -> None:
        """Commit the ready outcomes, if `more_expected` only once the interval is over. Raises Fatal.

        After a full batch the next one follows at once.
        """
        self._transactions.poll()
        if self._timer.is_due(self._clock(), more_expected) and (parts := self._parts()):
            self._try(parts)

    def commit_or_give_up(self) -> None:
        """Try once, now: the partitions are about to be revoked. Raises Fatal."""
        if parts := self._parts():
            self._try(parts)

    def close(self) -> None:
        self._transactions.close()

    def _parts(self) -> list[PartitionCommit]:
        """Return the per-partition parts of the next transaction, without partitions that have nothing to commit."""
        most = MAX_RECORDS_ONE_BY_ONE if self._one_by_one else self._batch_records
        parts, budget = [], TransactionBudget(most, MAX_TRANSACTION_BYTES)
        for state in self._assignment:
            ready = state.ledger.publishable(budget.admits)
            point = state.ledger.commit_point(ready)
            if ready or state.ledger.has_changes(point):
                parts.append(PartitionCommit(state, ready, point))
        return parts

    def _try(self, parts: list[PartitionCommit]) -> None:
        started_at = self._clock()
        try:
            if self._in_doubt:
                self._resolve_doubt()
                parts = self._parts()
            with COMMIT_SECONDS.time():
                self._commit(parts)
            full = sum(len(part.ready) for part in parts) >= self._batch_records
            self._timer.record_commit(started_at, self._clock(), full)
        except CommitError as error:
            self._set_in_doubt(self._in_doubt or isinstance(error, InDoubt))
            self._timer.wait_until(self._clock() + PAUSE_AFTER_FAILURE_S)
            COMMITS.labels(_METRIC_LABELS[type(error)]).inc()
            log.warning("not committed (%s): %s", _METRIC_LABELS[type(error)], error)
            if isinstance(error, RecordsRefused):
                self._one_by_one = True
                _omit_original(parts, error)

    def _resolve_doubt(self) -> None:
        """Find out what is committed, after a transaction of unknown outcome: end it by a fresh producer, then ask."""
        self._transactions.renew()
        self._assignment.reload_committed()
        self._set_in_doubt(False)

    def _set_in_doubt(self, in_doubt: bool) -> None:
        self._in_doubt = in_doubt
        IN_DOUBT.set(in_doubt)

    def _commit(self, parts: list[PartitionCommit]) -> None:
        """Commit records and offsets in one transaction. This is the only place where a worker commits an offset."""
        records = [record for part in parts for record in part.ready.values()]
        offsets = [
            TopicPartition(self._topic, part.state.partition, part.point.offset, part.point.metadata) for part in parts
        ]
        started_at = self._clock()
        self._transactions.commit(records, offsets, self._consumer, self._one_by_one)
        self._one_by_one = False
        if self._spans is not None:
            self._spans.record(_deliveries(parts), started_at, self._clock())
        for part in parts:
            part.state.mark_committed(part.point)
        COMMITS.labels("committed").inc()
        _count(records, self.counts)


# These values are known to dashboards, so they stay.
_METRIC_LABELS: dict[type[CommitError], str] = {
    Aborted: "aborted",
    RecordsRefused: "aborted",
    NotAMember: "not_a_member",
    InDoubt: "unsure",
}


def show_counters() -> None:
    """Show every counter of outcomes as 0: a first one is a rise only where the 0 was seen."""
    for outcome in ("committed", *_METRIC_LABELS.values()):
        COMMITS.labels(outcome)
    for reason in Reason:
        DEAD_LETTERS.labels(reason.value)


def _deliveries(parts: list[PartitionCommit]) -> Iterator[tuple[Delivery, OutgoingRecord]]:
    for part in parts:
        for offset, record in part.ready.items():
            yield part.state.deliveries[offset], record


def _omit_original(parts: list[PartitionCommit], error: RecordsRefused) -> None:
    """Replace a dead letter that its topic refuses by its omitted form. Do nothing while several records are named.

    Raises Fatal for anything else: an answer never becomes a dead letter because the broker refuses it. Nothing was
    committed, so nothing is lost by stopping.
    """
    if len(error.records) > 1:
        return
    (refused,) = error.records
    for part in parts:
        for offset in [offset for offset, record in part.ready.items() if record is refused]:
            smaller = refused.without_original(part.state.partition)
            if smaller is None:
                raise Fatal(f"{error}; {_REMEDY}")
            part.state.ledger.finish(offset, smaller)


_REMEDY = (
    f"set its max.message.bytes to {MAX_OUTCOME_RECORD_BYTES} or more, and its cleanup.policy to delete if it is the "
    "topic of dead letters; then start again"
)


def _count(records: list[OutgoingRecord], counts: CommittedCounts) -> None:
    for record in records:
        if record.reason is None:
            RESULTS.inc()
            counts.results += 1
        else:
            counts.dead_letters += 1
            DEAD_LETTERS.labels(record.reason.value).inc()
