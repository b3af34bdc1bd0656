"""The ledger: any order, any crash, and every offset is published exactly once."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sightstream.consumers.kafka.offset_metadata import decode
from sightstream.consumers.worker.ledger import CommitPoint, Ledger, LedgerError


def publish(ledger: Ledger[str], ready: dict[int, str] | None = None) -> CommitPoint:
    """Do to the ledger what a committed transaction does."""
    point = ledger.commit_point(ledger.publishable() if ready is None else ready)
    ledger.mark_committed(point, decode(point.metadata, point.offset))
    return point


def test_commits_the_lowest_unpublished_and_keeps_the_ranges_beyond() -> None:
    ledger: Ledger[str] = Ledger(10)
    for offset in range(10, 15):
        assert ledger.start(offset, None)
    ledger.finish(11, "b")
    ledger.finish(13, "d")
    point = publish(ledger)
    assert point.offset == 10
    assert decode(point.metadata, 10) == ((11, 12), (13, 14))
    assert len(ledger) == 3


def test_the_next_worker_skips_what_was_published_beyond() -> None:
    ledger: Ledger[str] = Ledger(10, ((11, 12), (13, 15)))
    assert [ledger.start(offset, None) for offset in range(10, 16)] == [True, False, True, False, False, True]
    for offset in (10, 12, 15):
        ledger.finish(offset, "x")
    assert publish(ledger) == CommitPoint(16, "")


def test_a_key_publishes_in_order_while_others_pass() -> None:
    ledger: Ledger[str] = Ledger(0)
    for offset, key in enumerate([b"a", b"b", b"a", None, None]):
        ledger.start(offset, key)
    for offset in (2, 1, 4):
        ledger.finish(offset, str(offset))
    assert list(ledger.publishable()) == [1, 4]
    ledger.finish(0, "0")
    assert list(ledger.publishable()) == [0, 1, 2, 4]


def test_counts_the_offsets_without_an_outcome() -> None:
    ledger: Ledger[str] = Ledger(0)
    for offset in range(3):
        ledger.start(offset, None)
    ledger.finish(1, "b")
    ledger.finish(1, "another b")
    assert (ledger.unfinished, len(ledger)) == (2, 3)
    publish(ledger)
    assert (ledger.unfinished, len(ledger)) == (2, 2)


def test_gaps_of_transaction_markers_do_not_hold_the_commit_back() -> None:
    ledger: Ledger[str] = Ledger(0)
    ledger.start(3, None)
    ledger.finish(3, "x")
    ledger.advance_to(9)
    assert publish(ledger) == CommitPoint(9, "")


def test_an_advance_without_records_is_a_change() -> None:
    ledger: Ledger[str] = Ledger(4)
    assert not ledger.has_changes(ledger.commit_point())
    ledger.advance_to(5)
    assert ledger.has_changes(ledger.commit_point())


def test_offsets_that_go_backwards_stop_the_partition() -> None:
    ledger: Ledger[str] = Ledger(7)
    with pytest.raises(LedgerError, match="recreated"):
        ledger.start(6, None)


def test_outcomes_that_do_not_fit_the_metadata_wait_and_nothing_more_is_admitted() -> None:
    ledger: Ledger[str] = Ledger(0, metadata_limit_bytes=40)
    for offset in range(100):
        ledger.start(offset, None)
    for offset in range(1, 100, 2):
        ledger.finish(offset, "x")
    point = publish(ledger)
    assert 0 < len(point.metadata) <= 40
    assert not ledger.accepts_more
    for offset in range(0, 100, 2):
        ledger.finish(offset, "x")
    while len(ledger):
        publish(ledger)
    assert ledger.commit_point() == CommitPoint(100, "")
    assert ledger.accepts_more


def test_inherited_metadata_at_its_limit_does_not_keep_the_partition_closed() -> None:
    ledger: Ledger[str] = Ledger(0, ((1, 2), (3, 4), (5, 6)), metadata_limit_bytes=16)
    assert ledger.accepts_more
    for offset in range(6):
        ledger.start(offset, None)
    assert not ledger.accepts_more


@dataclass
class FakeLog:
    """A partition with gaps, and the truth about what was published from it."""

    records: list[tuple[int, bytes | None]]
    end: int
    committed: CommitPoint = field(default_factory=lambda: CommitPoint(0, ""))
    published: list[int] = field(default_factory=list)


def _log(steps: list[tuple[int, bytes | None]], trailing: int) -> FakeLog:
    records, position = [], -1
    for gap, key in steps:
        position += gap
        records.append((position, key))
    return FakeLog(records, position + 1 + trailing)


logs = st.builds(
    _log, st.lists(st.tuples(st.integers(1, 4), st.sampled_from([None, b"a", b"b"])), max_size=40), st.integers(0, 2)
)


class FakeWorker:
    """A worker that polls, finishes, commits and crashes; its transactions are atomic, as Kafka's are."""

    def __init__(self, log: FakeLog, random: Random, metadata_limit_bytes: int) -> None:
        self.log, self.random, self.metadata_limit_bytes = log, random, metadata_limit_bytes
        self.crash()

    def crash(self) -> None:
        at = self.log.committed
        self.ledger: Ledger[str] = Ledger(at.offset, decode(at.metadata, at.offset), self.metadata_limit_bytes)
        self.unread = iter([record for record in self.log.records if record[0] >= at.offset])
        self.unfinished: list[int] = []
        self.at_end = False

    def poll(self) -> None:
        if self.at_end or not self.ledger.accepts_more:
            return
        record = next(self.unread, None)
        if record is None:
            self.ledger.advance_to(self.log.end)
            self.at_end = True
        elif self.ledger.start(*record):
            self.unfinished.append(record[0])

    def finish(self) -> None:
        if self.unfinished:
            offset = self.unfinished.pop(self.random.randrange(len(self.unfinished)))
            self.ledger.finish(offset, str(offset))

    def commit(self, arrives: bool = True) -> None:
        """With `arrives` false the transaction never happened, and Kafka's commit is read back."""
        ready = self.ledger.publishable()
        point = self.ledger.commit_point(ready)
        assert len(point.metadata) <= self.metadata_limit_bytes
        assert point.offset >= self.log.committed.offset
        if arrives:
            self.log.published += list(ready)
            self.log.committed = point
        at = self.log.committed
        self.ledger.mark_committed(at, decode(at.metadata, at.offset))

    def lose_the_reply(self) -> None:
        self.commit(arrives=self.random.random() < 0.5)

    @property
    def done(self) -> bool:
        return self.at_end and not len(self.ledger) and not self.ledger.has_changes(self.ledger.commit_point())


@settings(max_examples=400, deadline=None)
@given(logs, st.integers(0, 2**32), st.sampled_from([16, 40, 3900]))
def test_any_order_any_crash_nothing_lost_nothing_twice(log: FakeLog, seed: int, metadata_limit_bytes: int) -> None:
    """Every record is published exactly once, the records of a key in order, and the commit reaches the end."""
    random = Random(seed)
    worker = FakeWorker(log, random, metadata_limit_bytes)
    faults = [worker.crash, worker.lose_the_reply]
    for step in range(5000):
        if worker.done:
            break
        steady = [worker.poll, worker.poll, worker.finish, worker.finish, worker.commit]
        random.choice(steady + faults if step < 400 else steady)()
    assert sorted(log.published) == [offset for offset, _ in log.records]
    for key in (b"a", b"b"):
        of_key = [offset for offset, k in log.records if k == key]
        assert [offset for offset in log.published if offset in of_key] == of_key
    assert log.committed == CommitPoint(log.end, "")


def alternating(base: int, count: int, gap: int = 1) -> tuple[tuple[int, int], ...]:
    """`count` published offsets, each behind `gap` unpublished ones."""
    return tuple((base + n * (gap + 1) + gap, base + (n + 1) * (gap + 1)) for n in range(count))


def test_a_limit_that_was_lowered_does_not_freeze_inherited_metadata() -> None:
    ledger: Ledger[str] = Ledger(0, alternating(0, 500), metadata_limit_bytes=16)
    for offset in range(20):
        ledger.start(offset, None)
    ledger.finish(0, "a")
    ledger.finish(2, "b")
    assert list(ledger.publishable()) == [0, 2]
    before = len(ledger.commit_point().metadata)
    assert len(publish(ledger).metadata) < before


@example(base=2_097_140, count=12, gap=20, in_flight=1, random=Random(1))  # the offset needs one more byte on the way
@given(
    st.integers(100, 300) | st.integers(16_000, 16_500),
    st.integers(1, 20),
    st.integers(1, 9),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=50)
def test_whatever_was_inherited_every_order_of_work_ends(
    base: int, count: int, gap: int, in_flight: int, random: Random
) -> None:
    """Only a few requests are in flight at a time, and the limit was lowered far below the inherited metadata."""
    ledger: Ledger[str] = Ledger(base, alternating(base, count, gap), metadata_limit_bytes=16)
    unread = list(range(base, base + count * (gap + 1) + 1))
    unfinished: list[int] = []
    while unread or unfinished or len(ledger):
        while unread and len(ledger) < in_flight and ledger.accepts_more:
            if ledger.start(offset := unread.pop(0), None):
                unfinished.append(offset)
        if unfinished:
            ledger.finish(unfinished.pop(random.randrange(len(unfinished))), "x")
        before = len(ledger)
        publish(ledger)
        assert unfinished or len(ledger) < before, "frozen"


@given(st.integers(0, 30), st.sets(st.integers(1, 60)), st.integers(0, 70), st.integers(0, 20))
def test_passing_over_counts_what_was_neither_delivered_nor_published(
    base: int, beyond: set[int], position: int, delivered: int
) -> None:
    published = tuple((n, n + 1) for n in sorted(beyond) if n > base and n - 1 not in beyond)
    ledger: Ledger[str] = Ledger(base, published)
    for offset in range(base, base + delivered):
        ledger.start(offset, None)
    if position < ledger.position:
        with pytest.raises(LedgerError):
            ledger.pass_over(position)
        return
    unread = [n for n in range(ledger.position, position) if (n, n + 1) not in published]
    waiting = len(ledger)
    assert ledger.pass_over(position) == len(unread)
    assert (ledger.position, len(ledger)) == (position, waiting)
