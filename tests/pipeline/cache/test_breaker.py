"""Shut after failures in a row, one probe at a time."""

from __future__ import annotations

import pytest

from sightstream.pipeline.cache.breaker import Breaker
from tests.pipeline.cache.samples import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(3, 10, clock)
    assert [breaker.failed() for _ in range(3)] == [False, False, True]
    return breaker


def test_it_bears_failures_that_do_not_follow_each_other(clock: Clock) -> None:
    breaker = Breaker(3, 10, clock)
    for _ in range(9):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()


def test_open_it_allows_one_probe_a_pause(clock: Clock) -> None:
    breaker = opened(clock)
    assert not breaker.allows()
    clock.now += 10
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    assert not breaker.failed()  # said already
    clock.now += 9.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()


def test_a_probe_of_which_nothing_is_heard_does_not_shut_it_for_ever(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 10
    assert breaker.allows()
    clock.now += 10
    assert breaker.allows()


def test_a_probe_that_succeeds_opens_it_for_all(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 10
    assert breaker.allows()
    breaker.succeeded()
    assert all(breaker.allows() for _ in range(3))
    assert [breaker.failed() for _ in range(3)] == [False, False, True]
