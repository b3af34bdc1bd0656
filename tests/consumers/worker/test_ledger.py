from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.consumers.kafka.offset_metadata import decode
from sightstream.consumers.worker.ledger import CommitPoint, Ledger, LedgerError


def publish(ledger: Ledger[str], ready: dict[int, str] | None = None) -> CommitPoint:
    """What a committed transaction does to the ledger."""
    point = ledger.commit_point(ledger.publishable() if ready is None else ready)
    ledger.settle(point, decode(point.note, point.offset))
    return point


def test_commits_the_lowest_unpublished_and_notes_what_lies_beyond() -> None:
    ledger: Ledger[str] = Ledger(10)
    for offset in range(10, 15):
        assert ledger.take(offset, None)
    ledger.finish(11, "b")
    ledger.finish(13, "d")
    point = publish(ledger)
    assert point.offset == 10
    assert decode(point.note, 10) == ((11, 12), (13, 14))
    assert len(ledger) == 3


def test_the_next_owner_skips_what_was_published_beyond() -> None:
    ledger: Ledger[str] = Ledger(10, ((11, 12), (13, 15)))
    assert [ledger.take(offset, None) for offset in range(10, 16)] == [True, False, True, False, False, True]
    for offset in (10, 12, 15):
        ledger.finish(offset, "x")
    assert publish(ledger) == CommitPoint(16, "")


def test_a_key_publishes_in_order_while_others_pass() -> None:
    ledger: Ledger[str] = Ledger(0)
    for offset, key in enumerate([b"a", b"b", b"a", None, None]):
        ledger.take(offset, key)
    for offset in (2, 1, 4):
        ledger.finish(offset, str(offset))
    assert list(ledger.publishable()) == [1, 4]
    ledger.finish(0, "0")
    assert list(ledger.publishable()) == [0, 1, 2, 4]


def test_gaps_of_transaction_markers_do_not_hold_the_commit_back() -> None:
    ledger: Ledger[str] = Ledger(0)
    ledger.take(3, None)
    ledger.finish(3, "x")
    ledger.skip_to(9)
    assert publish(ledger) == CommitPoint(9, "")


def test_an_advance_without_records_is_news() -> None:
    ledger: Ledger[str] = Ledger(4)
    assert not ledger.has_news(ledger.commit_point())
    ledger.skip_to(5)
    assert ledger.has_news(ledger.commit_point())


def test_offsets_that_go_backwards_stop_the_partition() -> None:
    ledger: Ledger[str] = Ledger(7)
    with pytest.raises(LedgerError, match="recreated"):
        ledger.take(6, None)


def test_what_does_not_fit_the_note_waits_and_nothing_more_is_admitted() -> None:
    ledger: Ledger[str] = Ledger(0, note_limit=40)
    for offset in range(100):
        ledger.take(offset, None)
    for offset in range(1, 100, 2):
        ledger.finish(offset, "x")
    point = publish(ledger)
    assert 0 < len(point.note) <= 40
    assert not ledger.has_room
    for offset in range(0, 100, 2):
        ledger.finish(offset, "x")
    while len(ledger):
        publish(ledger)
    assert ledger.commit_point() == CommitPoint(100, "")
    assert ledger.has_room


def test_an_inherited_note_at_its_limit_does_not_keep_the_partition_shut() -> None:
    ledger: Ledger[str] = Ledger(0, ((1, 2), (3, 4), (5, 6)), note_limit=16)
    assert ledger.has_room
    for offset in range(6):
        ledger.take(offset, None)
    assert not ledger.has_room


@dataclass
class Log:
    """A partition with gaps, and the truth about what was published from it."""

    records: list[tuple[int, bytes | None]]
    end: int
    committed: CommitPoint = field(default_factory=lambda: CommitPoint(0, ""))
    published: list[int] = field(default_factory=list)


def _log(steps: list[tuple[int, bytes | None]], trailing: int) -> Log:
    records, position = [], -1
    for gap, key in steps:
        position += gap
        records.append((position, key))
    return Log(records, position + 1 + trailing)


logs = st.builds(
    _log, st.lists(st.tuples(st.integers(1, 4), st.sampled_from([None, b"a", b"b"])), max_size=40), st.integers(0, 2)
)


class Owner:
    """A worker that takes, finishes, commits and crashes; its transactions are atomic, as Kafka's are."""

    def __init__(self, log: Log, random: Random, note_limit: int) -> None:
        self.log, self.random, self.note_limit = log, random, note_limit
        self.crash()

    def crash(self) -> None:
        at = self.log.committed
        self.ledger: Ledger[str] = Ledger(at.offset, decode(at.note, at.offset), self.note_limit)
        self.unread = iter([record for record in self.log.records if record[0] >= at.offset])
        self.unfinished: list[int] = []
        self.at_end = False

    def take(self) -> None:
        if self.at_end or not self.ledger.has_room:
            return
        record = next(self.unread, None)
        if record is None:
            self.ledger.skip_to(self.log.end)
            self.at_end = True
        elif self.ledger.take(*record):
            self.unfinished.append(record[0])

    def finish(self) -> None:
        if self.unfinished:
            offset = self.unfinished.pop(self.random.randrange(len(self.unfinished)))
            self.ledger.finish(offset, str(offset))

    def commit(self, arrives: bool = True) -> None:
        """With `arrives` false the transaction never happened, and what Kafka holds is read back."""
        ready = self.ledger.publishable()
        point = self.ledger.commit_point(ready)
        assert len(point.note) <= self.note_limit
        assert point.offset >= self.log.committed.offset
        if arrives:
            self.log.published += list(ready)
            self.log.committed = point
        at = self.log.committed
        self.ledger.settle(at, decode(at.note, at.offset))

    def lose_the_reply(self) -> None:
        self.commit(arrives=self.random.random() < 0.5)

    @property
    def done(self) -> bool:
        return self.at_end and not len(self.ledger) and not self.ledger.has_news(self.ledger.commit_point())


@settings(max_examples=400, deadline=None)
@given(logs, st.integers(0, 2**32), st.sampled_from([16, 40, 3900]))
def test_any_order_any_crash_nothing_lost_nothing_twice(log: Log, seed: int, note_limit: int) -> None:
    """Every record is published exactly once, the records of a key in order, and the commit reaches the end."""
    random = Random(seed)
    owner = Owner(log, random, note_limit)
    faults = [owner.crash, owner.lose_the_reply]
    for step in range(5000):
        if owner.done:
            break
        steady = [owner.take, owner.take, owner.finish, owner.finish, owner.commit]
        random.choice(steady + faults if step < 400 else steady)()
    assert sorted(log.published) == [offset for offset, _ in log.records]
    for key in (b"a", b"b"):
        of_key = [offset for offset, k in log.records if k == key]
        assert [offset for offset in log.published if offset in of_key] == of_key
    assert log.committed == CommitPoint(log.end, "")
