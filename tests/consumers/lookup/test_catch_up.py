"""Caught up means that every record was entered, not that the highest was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.lag.broker import Committed
from sightstream.consumers.lookup.catch_up import CatchUp
from tests.consumers.lag.fakes import FakeBroker, FakeConsumer, FakeLog


def catch_up(logs: dict[int, FakeLog], committed: dict[int, int] | None = None) -> CatchUp:
    places = {("results", partition): log for partition, log in logs.items()}
    offsets = {("results", partition): Committed(offset, None) for partition, offset in (committed or {}).items()}
    return CatchUp(FakeBroker(places, {"g": offsets}), FakeConsumer(places), "g", "results")  # type: ignore[arg-type]


def log(*offsets: int, end: int) -> FakeLog:
    return FakeLog(dict.fromkeys(offsets, 0), end)


def test_an_empty_topic_is_caught_up_at_once() -> None:
    goal = catch_up({0: log(end=0), 1: log(end=0)})
    goal.aim([0, 1])
    assert goal.missing() == {}


def test_markers_at_the_end_are_no_records() -> None:
    goal = catch_up({0: log(0, 1, end=5)}, {0: 2})
    goal.aim([0])
    assert goal.missing() == {}


def test_a_dropped_record_is_seen_although_later_ones_were_entered() -> None:
    goal = catch_up({0: log(0, 2, 4, end=6)})
    goal.aim([0])
    goal.entered(0, 0)
    goal.entered(0, 4)
    assert goal.missing() == {0: 2}
    assert goal.missing() == {0: 2}
    goal.entered(0, 2)
    assert goal.missing() == {}


def test_what_comes_later_is_not_waited_for() -> None:
    first = log(0, end=1)
    goal = catch_up({0: first})
    goal.aim([0])
    first.records[1], first.end = 0, 2
    goal.entered(0, 0)
    assert goal.missing() == {}


def test_a_new_goal_forgets_the_old_one() -> None:
    goal = catch_up({0: log(0, end=1), 1: log(0, end=1)})
    goal.aim([0])
    goal.aim([1])
    assert goal.missing() == {1: 0}


@given(st.sets(st.integers(0, 30)), st.integers(0, 30), st.lists(st.integers(0, 30)))
def test_it_ends_exactly_when_all_was_entered(offsets: set[int], committed: int, entered: list[int]) -> None:
    goal = catch_up({0: FakeLog(dict.fromkeys(offsets, 0), 31)}, {0: committed})
    goal.aim([0])
    wanted = {offset for offset in offsets if offset >= committed}
    seen: set[int] = set()
    for offset in [*entered, *offsets]:
        left = wanted - seen
        assert goal.missing() == ({0: min(left)} if left else {})
        goal.entered(0, offset)
        seen.add(offset)
    assert goal.missing() == {}
