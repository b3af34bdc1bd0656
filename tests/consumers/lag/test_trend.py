"""Rates, and the estimate of when a queue is empty."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.lag.trend import Trend


def trend(*samples: tuple[float, int], window: float = 60) -> Trend:
    made = Trend(window)
    for at, records in samples:
        made.add(at, records)
    return made


def test_a_steady_fall() -> None:
    assert trend((0, 100), (10, 90), (20, 80)).seconds_to_empty() == pytest.approx(80)


@pytest.mark.parametrize("samples", [(), ((0, 5),), ((0, 5), (10, 5)), ((0, 5), (10, 50)), ((3, 9), (3, 8))])
def test_no_estimate_while_it_does_not_fall(samples: tuple[tuple[float, int], ...]) -> None:
    assert trend(*samples).seconds_to_empty() is None


def test_the_rate() -> None:
    assert trend((0, 100), (10, 90), (20, 80)).per_second() == pytest.approx(-1)
    assert (trend().per_second(), trend((1, 5)).per_second()) == (None, None)


def test_nothing_left_is_zero() -> None:
    assert trend((0, 0)).seconds_to_empty() == 0
    assert trend((0, 5), (1, 50), (2, 0)).seconds_to_empty() == 0


def test_what_is_older_than_the_window_is_forgotten() -> None:
    assert trend((0, 1000), (100, 10), (150, 10), window=60).seconds_to_empty() is None


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 10**9)), max_size=20))
def test_an_estimate_is_never_negative(samples: list[tuple[float, int]]) -> None:
    estimate = trend(*sorted(samples)).seconds_to_empty()
    assert estimate is None or estimate >= 0
