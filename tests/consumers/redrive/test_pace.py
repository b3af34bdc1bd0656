"""The rate limit: spread evenly, waiting before a transaction, and never saved up."""

from __future__ import annotations

from sightstream.consumers.redrive.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    pace = Pace(None, clock, clock.sleep)
    pace.wait(10**6)
    assert (clock.now, pace.batch(500)) == (0, 500)


def test_a_batch_is_at_most_one_second() -> None:
    assert [Pace(rate).batch(500) for rate in (0.1, 1.9, 20, 10_000)] == [1, 1, 20, 500]


def test_requests_are_spread_evenly() -> None:
    clock = Clock()
    pace = Pace(20, clock, clock.sleep)
    for expected in (0.0, 1.0, 2.0):
        pace.wait(20)
        assert clock.now == expected
    clock.now = 100.0
    pace.wait(10)
    assert clock.now == 100.0
    pace.wait(1)
    assert clock.now == 100.5


def test_parking_alone_waits_for_nothing() -> None:
    clock = Clock()
    pace = Pace(1, clock, clock.sleep)
    pace.wait(5)
    pace.wait(0)
    assert clock.now == 0
