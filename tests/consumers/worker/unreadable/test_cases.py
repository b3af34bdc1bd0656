"""What was tried, what is given up and what never is, with a reader that a test plays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from sightstream.consumers.metrics import UNREADABLE_PARTITIONS
from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.consumers.worker.incoming import Incoming
from sightstream.consumers.worker.ledger import Ledger
from sightstream.consumers.worker.records import OutgoingRecord, dead_letter_record
from sightstream.consumers.worker.unreadable.cases import RETRY_S, RETRY_UNAVAILABLE_S, UnreadableBatches
from sightstream.consumers.worker.unreadable.reports import (
    BatchDone,
    BatchFound,
    FailureKind,
    ReadFailed,
    RecordOmitted,
    RecordRead,
    Report,
)
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Failure, Reason
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.outcomes import request

ERROR = KafkaError(KafkaError._BAD_COMPRESSION)
VALUE = encode(request())


def record(offset: int) -> RecordRead:
    return RecordRead(offset=offset, key=b"k", value=VALUE, names=(b"h",), values=(b"1",))


def failed(kind: FailureKind) -> ReadFailed:
    return ReadFailed(failure=kind, detail="so it is")


class FakeReader:
    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.reports: list[Report] = []
        self.closed = False

    def poll(self) -> Report | None:
        return self.reports.pop(0) if self.reports else None

    def close(self) -> None:
        self.closed = True


class FakeAssignment:
    """Partition 2, which was read up to offset 10."""

    topic = "requests"

    def __init__(self) -> None:
        self.state: PartitionState | None = PartitionState(2, Ledger[OutgoingRecord](10), has_polled=True)
        self.read_on_from: list[int] = []
        self.is_broken = False

    def get(self, partition: int) -> PartitionState | None:
        return self.state

    def read_on(self, state: PartitionState) -> None:
        if self.is_broken:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.read_on_from.append(state.ledger.position)


class CasesHarness:
    """Cases between fakes, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.assignment = FakeAssignment()
        self.readers: list[FakeReader] = []
        assignment = cast(Assignment, self.assignment)  # the fake has the parts that UnreadableBatches uses
        self.cases = UnreadableBatches(assignment, self.start_reader, lambda: self.now)
        self.outcomes: dict[int, str] = {}
        self.letters: list[OutgoingRecord] = []

    def start_reader(self, partition: int, offset: int) -> FakeReader:
        assert partition == 2
        self.readers.append(FakeReader(offset))
        return self.readers[-1]

    @property
    def state(self) -> PartitionState:
        assert self.assignment.state is not None
        return self.assignment.state

    def begin(self) -> FakeReader:
        self.cases.add(self.state, ERROR)
        self.step()
        return self.readers[-1]

    def step(self, capacity: int = 1000) -> None:
        """Do what the intake does: register each record before the next one."""
        for state, (delivery, problem) in self._first(capacity):
            assert state.start(delivery)
            self.outcomes[delivery.record_id.offset] = problem.reason if problem else "request"
            if problem:
                letter = dead_letter_record(delivery, problem, TopicSettings(), datetime.now(UTC))
                self.letters.append(letter)

    def _first(self, capacity: int) -> Iterator[tuple[PartitionState, Incoming]]:
        for count, item in enumerate(self.cases.deliveries(), 1):
            yield item
            if count == capacity:
                return

    def attempt(self, *reports: Report) -> None:
        """Let the attempt that is due report this."""
        count = len(self.readers)
        self.step()
        assert len(self.readers) == count + 1
        self.readers[-1].reports = [*reports]
        self.step()


@pytest.fixture
def harness() -> CasesHarness:
    return CasesHarness()


FOUND = BatchFound(base=8, end=13, count=5)


def test_each_record_gets_its_own_outcome_and_the_consumer_reads_on_behind_the_batch(harness: CasesHarness) -> None:
    reader = harness.begin()
    assert reader.offset == 10
    assert harness.cases.blocks(2)
    bomb = RecordOmitted(offset=11, key=b"k", size_bytes=10**8, sha256="a" * 64)
    reader.reports = [FOUND, record(10), bomb, record(12), BatchDone(end=13)]
    harness.step()
    assert harness.outcomes == {10: "request", 11: Reason.UNREADABLE_RECORD, 12: "request"}
    (letter,) = harness.letters
    assert (letter.key, letter.value, letter.partition) == (None, None, 2)
    assert dict(letter.headers)["sightstream-omitted-sha256"] == b"a" * 64
    assert harness.assignment.read_on_from == [13]
    assert reader.closed
    assert not harness.cases.blocks(2)


def test_records_wait_for_capacity(harness: CasesHarness) -> None:
    reader = harness.begin()
    reader.reports = [BatchFound(base=10, end=20, count=10), *map(record, range(10, 20)), BatchDone(end=20)]
    harness.step(capacity=3)
    assert list(harness.outcomes) == [10, 11, 12]
    harness.step()
    assert list(harness.outcomes) == list(range(10, 20))


def test_a_batch_is_given_up_after_two_attempts_a_minute_apart(harness: CasesHarness) -> None:
    harness.begin().reports = [FOUND, record(10), failed("undecodable")]
    harness.step()
    harness.now += RETRY_S - 1
    harness.step()
    assert len(harness.readers) == 1, "it waits a minute"
    harness.now += 1
    harness.attempt(FOUND, failed("undecodable"))
    assert harness.readers[1].offset == 11, "what was delivered is not read again"
    harness.step()
    assert harness.outcomes == {10: "request", 11: Reason.UNREADABLE_RECORD, 12: Reason.UNREADABLE_RECORD}
    assert [letter.partition for letter in harness.letters] == [2, 2]
    assert [Failure.from_headers(letter.headers).source.offset for letter in harness.letters] == [11, 12]
    assert harness.assignment.read_on_from == [13]


def test_nothing_is_delivered_past_a_held_record(harness: CasesHarness) -> None:
    harness.begin().reports = [FOUND, record(10), record(11), record(12), BatchDone(end=13)]
    for state, (delivery, _) in harness.cases.deliveries():
        state.hold(delivery)  # the intake does so while its dependency is down
    harness.now += 1000
    harness.step()
    assert (harness.state.ledger.position, harness.outcomes, harness.assignment.read_on_from) == (10, {}, [])
    held, harness.state.held = harness.state.held, None
    assert held is not None
    assert harness.state.start(held)
    harness.step()
    assert list(harness.outcomes) == [11, 12]
    assert harness.assignment.read_on_from == [13]


def test_what_is_given_up_fills_no_more_than_the_capacity(harness: CasesHarness) -> None:
    many = BatchFound(base=10, end=1010, count=1000)
    harness.begin().reports = [many, failed("undecodable")]
    harness.step()
    harness.now += RETRY_S
    harness.attempt(many, failed("undecodable"))
    harness.step(capacity=7)
    assert len(harness.outcomes) == 7
    harness.step()
    assert list(harness.outcomes) == list(range(10, 1010))


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (FOUND, "corrupt"),
        (FOUND, "unavailable"),
        (BatchFound(base=8, end=13, count=4), "undecodable"),  # compacted: nobody knows which offsets exist
    ],
)
def test_what_says_nothing_about_the_records_is_tried_for_ever(
    harness: CasesHarness, found: BatchFound, kind: FailureKind
) -> None:
    harness.begin().reports = [found, failed(kind)]
    harness.step()
    for _ in range(5):
        harness.now += RETRY_S
        harness.attempt(found, failed(kind))
        harness.step()
        assert UNREADABLE_PARTITIONS._value.get() == 1
    assert harness.outcomes == {}
    assert harness.cases.blocks(2)
    harness.now += RETRY_S
    harness.attempt(FOUND, record(10), record(11), record(12), BatchDone(end=13))
    assert len(harness.outcomes) == 3
    harness.step()
    assert UNREADABLE_PARTITIONS._value.get() == 0


def test_an_unavailable_broker_is_asked_again_soon_and_does_not_count(harness: CasesHarness) -> None:
    harness.begin().reports = [FOUND, failed("undecodable")]
    harness.step()
    harness.now += RETRY_S
    harness.attempt(failed("unavailable"))
    harness.now += RETRY_UNAVAILABLE_S
    harness.attempt(FOUND, record(10), record(11), record(12), BatchDone(end=13))
    assert set(harness.outcomes.values()) == {"request"}


def test_two_failures_at_once_are_not_two_attempts(harness: CasesHarness) -> None:
    harness.begin().reports = [FOUND, failed("undecodable"), failed("undecodable"), failed("undecodable")]
    for _ in range(5):
        harness.step()
    assert harness.outcomes == {}


def test_what_left_the_log_is_left_to_the_consumer(harness: CasesHarness) -> None:
    harness.begin().reports = [failed("gone")]
    harness.step()
    assert harness.assignment.read_on_from == [10]
    assert not harness.cases.blocks(2)


@pytest.mark.parametrize("lost", [None, PartitionState(2, Ledger[OutgoingRecord](0))])
def test_a_partition_that_is_lost_ends_its_attempt(harness: CasesHarness, lost: PartitionState | None) -> None:
    reader = harness.begin()
    reader.reports = [FOUND, record(10)]
    harness.assignment.state = lost
    assert not harness.cases.blocks(2)
    harness.step()
    assert reader.closed
    assert (harness.outcomes, harness.assignment.read_on_from) == ({}, [])


@pytest.mark.parametrize(
    "report", [record(7), record(13), record(9), BatchDone(end=9), BatchDone(end=99)], ids=lambda r: f"{r.kind}"
)
def test_a_report_that_does_not_fit_ends_the_attempt_and_delivers_nothing(
    harness: CasesHarness, report: Report
) -> None:
    harness.begin().reports = [FOUND, report, BatchDone(end=13)]
    harness.step()
    assert harness.readers[0].closed
    assert (harness.outcomes, harness.assignment.read_on_from) == ({}, [])


def test_a_consumer_that_can_not_go_on_now_is_asked_again(harness: CasesHarness) -> None:
    harness.assignment.is_broken = True
    harness.begin().reports = [FOUND, record(10), record(11), record(12), BatchDone(end=13)]
    harness.step()
    assert harness.cases.blocks(2)
    harness.assignment.is_broken = False
    harness.step()
    assert harness.assignment.read_on_from == [13]
    assert not harness.cases.blocks(2)


def test_a_worker_that_stops_ends_every_attempt(harness: CasesHarness) -> None:
    reader = harness.begin()
    harness.cases.close()
    harness.now += 1000
    harness.step()
    assert (reader.closed, len(harness.readers)) == (True, 1)
    assert harness.cases.blocks(2)
