"""The connections that are kept: which one is reused, and when one is closed."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from sightstream.pipeline.fetch.errors import FailureKind, TransientError
from sightstream.pipeline.fetch.http.connection import (
    MIN_BYTES_PER_S,
    PACE_WINDOW_S,
    Connection,
    ConnectionPool,
    Route,
    _Pace,
)
from sightstream.pipeline.fetch.settings import FetchSettings
from tests.pipeline.fetch.conftest import ManualClock

ROUTE = Route("https", "shop.example", 443, "93.184.216.34")
SETTINGS = FetchSettings(max_idle_connections=2, idle_connection_s=10, connection_age_s=25)


class Pair:
    """A connection and its peer."""

    def __init__(self, clock: ManualClock) -> None:
        mine, self.other = socket.socketpair()
        self.mine = Connection(mine, clock)


def test_the_connection_used_last_is_reused_first() -> None:
    clock = ManualClock()
    pool = ConnectionPool(SETTINGS, clock)
    first, second = Pair(clock), Pair(clock)
    pool.release(ROUTE, first.mine)
    pool.release(ROUTE, second.mine)
    assert pool.acquire(ROUTE) is second.mine
    assert pool.acquire(ROUTE) is first.mine
    assert pool.acquire(ROUTE) is None


@pytest.mark.parametrize(
    ("waits", "kept_at_the_end"), [([9.9], True), ([10.0], False), ([9, 9], True), ([9, 9, 9], False)]
)
def test_idle_and_age_limits(waits: list[float], kept_at_the_end: bool) -> None:
    clock = ManualClock()
    pool, pair = ConnectionPool(SETTINGS, clock), Pair(clock)
    pool.release(ROUTE, pair.mine)
    for wait in waits[:-1]:
        clock.sleep(wait)
        assert pool.acquire(ROUTE) is pair.mine
        pool.release(ROUTE, pair.mine)
    clock.sleep(waits[-1])
    assert (pool.acquire(ROUTE) is pair.mine) is kept_at_the_end


def test_the_oldest_goes_when_there_are_too_many() -> None:
    clock = ManualClock()
    pool, pairs = ConnectionPool(SETTINGS, clock), [Pair(clock) for _ in range(3)]
    for pair in pairs:
        pool.release(ROUTE, pair.mine)
    assert pairs[0].other.recv(1) == b""  # closed
    assert [pool.acquire(ROUTE) for _ in range(3)] == [pairs[2].mine, pairs[1].mine, None]


@pytest.mark.parametrize(
    "other",
    [
        Route("http", "shop.example", 443, "93.184.216.34"),
        Route("https", "else.example", 443, "93.184.216.34"),
        Route("https", "shop.example", 80, "93.184.216.34"),
        Route("https", "shop.example", 443, "93.184.216.35"),
    ],
)
def test_another_route_is_another_connection(other: Route) -> None:
    clock = ManualClock()
    pool, pair = ConnectionPool(SETTINGS, clock), Pair(clock)
    pool.release(ROUTE, pair.mine)
    assert pool.acquire(other) is None
    assert pool.acquire(ROUTE) is pair.mine


def test_a_connection_that_the_host_closed_or_wrote_to_is_not_reused() -> None:
    clock = ManualClock()
    pool = ConnectionPool(SETTINGS, clock)
    spoils: list[Callable[[Pair], object]] = [
        lambda pair: pair.other.close(),
        lambda pair: pair.other.send(b"HTTP/1.1 200 OK"),
    ]
    for spoil in spoils:
        before, after = Pair(clock), Pair(clock)
        spoil(before)
        pool.release(ROUTE, before.mine)
        assert pool.acquire(ROUTE) is None
        pool.release(ROUTE, after.mine)
        spoil(after)
        assert pool.acquire(ROUTE) is None


def test_a_body_that_crawls_is_ended_and_one_that_keeps_its_pace_is_not() -> None:
    clock = ManualClock()
    pace = _Pace(clock)
    for _ in range(20):
        pace.add(MIN_BYTES_PER_S * 5)
        clock.now += 5
        assert 0 < pace.remaining_s() <= PACE_WINDOW_S
    pace.add(int(MIN_BYTES_PER_S * PACE_WINDOW_S) - 1)
    clock.now += PACE_WINDOW_S
    with pytest.raises(TransientError) as caught:
        pace.remaining_s()
    assert caught.value.kind is FailureKind.CRAWLING
    assert not caught.value.retryable
