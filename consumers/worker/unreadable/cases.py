"""The partitions that wait for a batch which librdkafka can't read: what was tried, and when the batch is given up.

A batch is given up only after two attempts, a minute apart and each over a fresh connection, have shown that it can't
be decompressed within the memory for it. Then each offset that exists in it becomes a dead letter. A wrong checksum is
never given up: the records are there, on another replica or in a backup.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException

from sightstream.consumers.metrics import UNREADABLE_PARTITIONS
from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.incoming import Incoming, read_record
from sightstream.consumers.worker.unreadable.batch_reader import BatchReader
from sightstream.consumers.worker.unreadable.reports import (
    BatchDone,
    BatchFound,
    ReadFailed,
    RecordOmitted,
    RecordRead,
    Report,
)
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Headers, Reason, RecordId, Stage, omitted_size_headers

log = logging.getLogger(__name__)

# What librdkafka reports at the offset of a batch, again and again: it can't be decompressed, its checksum is wrong, it
# is larger than the client accepts.
UNREADABLE_CODES = (KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG, KafkaError.MSG_SIZE_TOO_LARGE)

ATTEMPTS = 2
RETRY_S = 60.0
# After a failure that says nothing about the batch.
RETRY_UNAVAILABLE_S = 5.0

StartReader = Callable[[int, int], BatchReader]


@dataclass(slots=True, eq=False)
class _Case:
    """One partition. `given_up` holds the reason once its batch is; `is_done` once its last record was registered."""

    state: PartitionState
    next_try: float
    reader: BatchReader | None = None
    found: BatchFound | None = None
    failed_at: list[float] = field(default_factory=list)
    is_waiting: bool = False
    given_up: Rejected | None = None
    is_done: bool = False


class UnreadableBatches:
    """Used by the thread that owns the consumer. `start_reader` gets a partition and the offset to start at."""

    def __init__(self, assignment: Assignment, start_reader: StartReader, clock: Callable[[], float]) -> None:
        self._assignment, self._start_reader, self._clock = assignment, start_reader, clock
        self._cases: dict[int, _Case] = {}

    def blocks(self, partition: int) -> bool:
        """Return whether the consumer's own records of this partition do not count now."""
        case = self._cases.get(partition)
        return case is not None and self._assignment.get(partition) is case.state

    def add(self, state: PartitionState, error: KafkaError) -> None:
        """Read the batch at the partition's position in another way. The caller must pause the partition."""
        log.warning("%s/%d: a batch at or behind offset %d is read in a process of its own: %s",
                    self._assignment.topic, state.partition, state.ledger.position, error.str())  # fmt: skip
        self._cases[state.partition] = _Case(state, self._clock())

    def deliveries(self) -> Iterator[tuple[PartitionState, Incoming]]:
        """Yield the records that are there now. Register each before the next: the ledger's position is what counts."""
        UNREADABLE_PARTITIONS.set(sum(case.is_waiting for case in self._cases.values()))
        for case in list(self._cases.values()):
            if self._assignment.get(case.state.partition) is not case.state:
                self._end(case)
                continue
            yield from self._step(case)

    def close(self) -> None:
        """End all attempts; their partitions stay blocked."""
        for case in self._cases.values():
            self._stop_reading(case)
            case.next_try = float("inf")

    def _step(self, case: _Case) -> Iterator[tuple[PartitionState, Incoming]]:
        if case.state.held is not None:
            return  # what comes behind a held record must wait for it
        if case.is_done:
            self._go_on(case, case.state.ledger.position)
        elif case.given_up is not None:
            yield from self._dead_letters(case, case.given_up)
        elif case.reader is None and self._clock() >= case.next_try:
            self._try(case)
        while case.reader is not None and _is_ready(case.state) and (report := case.reader.poll()):
            incoming = self._handle(case, report)
            if incoming is not None:
                yield case.state, incoming

    def _try(self, case: _Case) -> None:
        case.found = None
        try:
            case.reader = self._start_reader(case.state.partition, case.state.ledger.position)
        except OSError as error:
            self._fail(case, ReadFailed(failure="unavailable", detail=str(error)))

    def _handle(self, case: _Case, report: Report) -> Incoming | None:
        """Return the record that is reported, if one is."""
        if isinstance(report, BatchFound):
            case.found = report
        elif isinstance(report, BatchDone) and self._is_end(case, report.end):
            self._go_on(case, report.end)
        elif isinstance(report, ReadFailed):
            self._fail(case, report)
        elif isinstance(report, RecordRead | RecordOmitted) and self._is_next(case, report.offset):
            return _incoming(RecordId(self._assignment.topic, case.state.partition, report.offset), report)
        else:
            self._fail(case, ReadFailed(failure="unavailable", detail=f"an unexpected report: {report.kind}"))
        return None

    def _is_next(self, case: _Case, offset: int) -> bool:
        found = case.found
        return found is not None and max(found.base, case.state.ledger.position) <= offset < found.end

    def _is_end(self, case: _Case, end: int) -> bool:
        return end >= case.state.ledger.position and (case.found is None or case.found.end == end)

    def _fail(self, case: _Case, failed: ReadFailed) -> None:
        self._stop_reading(case)
        now, at = self._clock(), f"{self._assignment.topic}/{case.state.partition}"
        if failed.failure == "gone":
            return self._go_on(case, case.state.ledger.position)  # what the consumer then reports, others handle
        case.is_waiting = True
        if failed.failure == "undecodable":
            case.failed_at.append(now)
        case.next_try = now + (RETRY_UNAVAILABLE_S if failed.failure == "unavailable" else RETRY_S)
        log.error("%s: the batch at offset %d can't be read (%s: %s); nothing behind it is answered until it can",
                  at, case.state.ledger.position, failed.failure, failed.detail)  # fmt: skip
        if self._is_hopeless(case) and failed.failure == "undecodable":
            case.given_up = Rejected(Reason.UNREADABLE_RECORD, Stage.TAKE, f"its batch can't be read: {failed.detail}")

    def _is_hopeless(self, case: _Case) -> bool:
        """Return whether each offset may be given up. Where some were compacted away, nobody knows which exist."""
        found, failed_at = case.found, case.failed_at
        return (
            len(failed_at) >= ATTEMPTS
            and failed_at[-1] - failed_at[0] >= RETRY_S
            and found is not None
            and found.count == found.end - found.base
        )

    def _dead_letters(self, case: _Case, error: Rejected) -> Iterator[tuple[PartitionState, Incoming]]:
        assert case.found is not None  # noqa: S101
        position, end = max(case.found.base, case.state.ledger.position), case.found.end
        for offset in range(position, end):
            if not _is_ready(case.state):
                return
            at = RecordId(self._assignment.topic, case.state.partition, offset)
            yield case.state, (Delivery(at, None, None, [], omitted=[]), error)
        self._go_on(case, end)

    def _go_on(self, case: _Case, position: int) -> None:
        """Let the consumer read on behind the batch. Until that has worked, the partition stays blocked."""
        self._stop_reading(case)
        case.state.advance_to(position)
        case.is_done = True
        try:
            self._assignment.read_on(case.state)
        except KafkaException as error:
            log.warning("%s/%d can't be read on yet: %s", self._assignment.topic, case.state.partition, error)
        else:
            self._end(case)

    def _end(self, case: _Case) -> None:
        self._stop_reading(case)
        if self._cases.get(case.state.partition) is case:
            del self._cases[case.state.partition]

    def _stop_reading(self, case: _Case) -> None:
        if case.reader is not None:
            case.reader.close()
            case.reader = None


def _is_ready(state: PartitionState) -> bool:
    """Return whether the next record may be entered: what comes behind a held one waits for it."""
    return state.held is None and state.ledger.accepts_more


def _incoming(at: RecordId, report: RecordRead | RecordOmitted) -> Incoming:
    if isinstance(report, RecordRead):
        return read_record(at, report.key, report.value, report.headers())
    omitted: Headers = omitted_size_headers(report.size_bytes, report.sha256)
    detail = f"{report.size_bytes} bytes once decompressed, more than can be read; send less"
    delivery = Delivery(at, report.key, None, [], omitted=omitted)
    return delivery, Rejected(Reason.UNREADABLE_RECORD, Stage.TAKE, detail)
