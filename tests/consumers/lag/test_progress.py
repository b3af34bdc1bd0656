"""Rates of a group, and what its records cost."""

from __future__ import annotations

import pytest

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.lag.progress import Progress

P0, P1 = PartitionId("t", 0), PartitionId("t", 1)


def progress(*readings: tuple[float, int, int], members: int = 2) -> Progress:
    """Of one partition: time, end, and how much of it is done."""
    made = Progress(60)
    for at, end, done in readings:
        made.add(at, end - done, members, {P0: end}, {P0: done})
    return made


def test_rates_of_arrival_and_completion() -> None:
    made = progress((0, 100, 0), (10, 120, 50), (20, 140, 100))
    assert made.arrivals_per_s == pytest.approx(2)
    assert made.completions_per_s == pytest.approx(5)
    assert made.seconds_to_empty() == pytest.approx(40 / 3)


def test_one_reading_has_no_rates() -> None:
    made = progress((0, 100, 0))
    assert (made.arrivals_per_s, made.completions_per_s, made.member_s_per_record) == (None, None, None)


def test_new_partitions_and_offsets_that_go_back_do_not_count() -> None:
    made = progress((0, 100, 50))
    made.add(10, 0, 1, {P0: 20, P1: 1000}, {P0: 0, P1: 1000})
    assert (made.arrivals_per_s, made.completions_per_s) == (0, 0)


def test_a_record_costs_what_the_busy_members_need_for_it() -> None:
    assert progress((0, 100, 0), (10, 100, 50), members=3).member_s_per_record == pytest.approx(3 / 5)


def test_an_idle_group_does_not_make_a_record_look_costly() -> None:
    assert progress((0, 100, 99), (50, 110, 108)).member_s_per_record is None
    idle_then_busy = progress((0, 100, 100), (50, 150, 110), (55, 150, 120))
    assert idle_then_busy.member_s_per_record == pytest.approx(1)
    busy_then_idle = progress((0, 100, 0), (10, 100, 50), (20, 100, 100), (30, 100, 100))
    assert busy_then_idle.member_s_per_record == pytest.approx(2 / 5)


def test_a_group_that_stands_still_keeps_the_cost_of_its_records() -> None:
    stopped = progress((0, 100, 0), (10, 100, 50), (200, 100, 50), (210, 100, 50))
    assert stopped.member_s_per_record == pytest.approx(2 / 5)


def seconds_to_empty(at_s: int, *phases: tuple[int, int, int]) -> float:
    """Of 10,000 records read each 5 s until `at_s`; each phase has its end in seconds, records per second, members."""
    made, done, begin = Progress(120), 0, 0
    for end, rate, members in phases:
        for at in range(begin, min(end, at_s + 1), 5):
            made.add(at, 10_000 - done, members, {P0: 10_000}, {P0: done})
            done += 5 * rate
        begin = end
    found = made.seconds_to_empty()
    assert found is not None
    return found


def test_the_time_in_which_models_load_does_not_count() -> None:
    loading_then_working = ((60, 0, 2), (1000, 30, 2))
    assert seconds_to_empty(70, *loading_then_working) == pytest.approx(9700 / 30, rel=0.15)
    assert seconds_to_empty(120, *loading_then_working) == pytest.approx(8200 / 30, rel=0.15)


def test_the_rate_of_a_group_that_has_lost_a_member_does_not_count() -> None:
    assert seconds_to_empty(210, (200, 30, 2), (1000, 15, 1)) == pytest.approx((10_000 - 6000 - 150) / 15, rel=0.15)


def test_a_group_that_finishes_a_record_now_and_then_has_its_mean_rate() -> None:
    made = Progress(120)
    for at in range(0, 301, 10):
        made.add(at, 100 - at // 30, 1, {P0: 100}, {P0: at // 30})
    assert made.completions_per_s == pytest.approx(1 / 30, rel=0.1)
    assert made.seconds_to_empty() == pytest.approx(90 * 30, rel=0.1)
