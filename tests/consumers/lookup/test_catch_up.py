"""Caught up means that every record was processed, not that the highest was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.kafka.broker import CommittedOffset
from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.lookup.catch_up import CatchUp
from tests.consumers.kafka.fakes import FakeBroker, FakeConsumer, FakeLog


def catch_up(logs: dict[int, FakeLog], committed: dict[int, int] | None = None) -> CatchUp:
    by_partition = {PartitionId("results", partition): log for partition, log in logs.items()}
    offsets = {
        PartitionId("results", partition): CommittedOffset(offset, None)
        for partition, offset in (committed or {}).items()
    }
    return CatchUp(FakeBroker(by_partition, {"g": offsets}), FakeConsumer(by_partition), "g", "results")


def log(*offsets: int, end: int) -> FakeLog:
    return FakeLog(dict.fromkeys(offsets, 0), end)


def test_an_empty_topic_is_caught_up_at_once() -> None:
    goal = catch_up({0: log(end=0), 1: log(end=0)})
    goal.set_goal([0, 1])
    assert goal.missing() == {}


def test_markers_at_the_end_are_no_records() -> None:
    goal = catch_up({0: log(0, 1, end=5)}, {0: 2})
    goal.set_goal([0])
    assert goal.missing() == {}


def test_a_dropped_record_is_seen_although_later_ones_were_processed() -> None:
    goal = catch_up({0: log(0, 2, 4, end=6)})
    goal.set_goal([0])
    goal.mark_processed(0, 0)
    goal.mark_processed(0, 4)
    assert goal.missing() == {0: 2}
    assert goal.missing() == {0: 2}
    goal.mark_processed(0, 2)
    assert goal.missing() == {}


def test_what_comes_later_is_not_waited_for() -> None:
    first = log(0, end=1)
    goal = catch_up({0: first})
    goal.set_goal([0])
    first.records[1], first.end = 0, 2
    goal.mark_processed(0, 0)
    assert goal.missing() == {}


def test_a_new_goal_forgets_the_old_one() -> None:
    goal = catch_up({0: log(0, end=1), 1: log(0, end=1)})
    goal.set_goal([0])
    goal.set_goal([1])
    assert goal.missing() == {1: 0}


@given(st.sets(st.integers(0, 30)), st.integers(0, 30), st.lists(st.integers(0, 30)))
def test_it_ends_exactly_when_every_record_was_processed(
    offsets: set[int], committed: int, processed: list[int]
) -> None:
    goal = catch_up({0: FakeLog(dict.fromkeys(offsets, 0), 31)}, {0: committed})
    goal.set_goal([0])
    wanted = {offset for offset in offsets if offset >= committed}
    seen: set[int] = set()
    for offset in [*processed, *offsets]:
        left = wanted - seen
        assert goal.missing() == ({0: min(left)} if left else {})
        goal.mark_processed(0, offset)
        seen.add(offset)
    assert goal.missing() == {}
