"""The circuit breaker opens after failures in a row and then lets one probe through per interval."""

from __future__ import annotations

import pytest

from sightstream.pipeline.circuit_breaker import CircuitBreaker
from tests.pipeline.samples import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(3, 10, clock)
    assert [breaker.record_failure() for _ in range(3)] == [False, False, True]
    return breaker


def test_failures_with_successes_between_them_do_not_open_it(clock: Clock) -> None:
    breaker = CircuitBreaker(3, 10, clock)
    for _ in range(9):
        breaker.record_failure()
        breaker.record_failure()
        breaker.record_success()
    assert breaker.allows()
    assert not breaker.is_open


def test_while_open_it_allows_one_probe_per_interval(clock: Clock) -> None:
    breaker = opened(clock)
    assert breaker.is_open
    assert not breaker.allows()
    clock.now += 10
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    assert not breaker.record_failure()  # it was open already
    clock.now += 9.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()


def test_a_probe_that_never_reports_does_not_keep_it_open_for_ever(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 10
    assert breaker.allows()
    clock.now += 10
    assert breaker.allows()


def test_a_probe_that_succeeds_closes_it_for_everyone(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 10
    assert breaker.allows()
    assert breaker.is_open
    breaker.record_success()
    assert not breaker.is_open
    assert all(breaker.allows() for _ in range(3))
    assert [breaker.record_failure() for _ in range(3)] == [False, False, True]


def test_an_owner_with_its_own_probing_rules_reads_only_whether_it_is_open() -> None:
    breaker = CircuitBreaker(2)
    assert [(breaker.record_failure(), breaker.is_open) for _ in range(3)] == [
        (False, False),
        (True, True),
        (False, True),
    ]
