from __future__ import annotations

import socket

import pytest

from sightstream.pipeline.fetch.connection import Connection
from sightstream.pipeline.fetch.connections import Connections, Route
from sightstream.pipeline.fetch.settings import FetchSettings
from tests.pipeline.fetch.conftest import Hand

ROUTE = Route("https", "shop.example", 443, "93.184.216.34")
SETTINGS = FetchSettings(max_idle_connections=2, idle_connection_s=10, connection_age_s=25)


class Pair:
    """A connection and its other end."""

    def __init__(self, clock: Hand) -> None:
        mine, self.other = socket.socketpair()
        self.mine = Connection(mine, clock())


def test_the_one_used_last_is_used_next_while_it_is_young() -> None:
    clock = Hand()
    kept = Connections(SETTINGS, clock)
    first, second = Pair(clock), Pair(clock)
    kept.give_back(ROUTE, first.mine)
    kept.give_back(ROUTE, second.mine)
    assert kept.take(ROUTE) is second.mine
    assert kept.take(ROUTE) is first.mine
    assert kept.take(ROUTE) is None


@pytest.mark.parametrize(
    ("waits", "kept_at_the_end"), [([9.9], True), ([10.0], False), ([9, 9], True), ([9, 9, 9], False)]
)
def test_idle_and_age_limits(waits: list[float], kept_at_the_end: bool) -> None:
    clock = Hand()
    kept, pair = Connections(SETTINGS, clock), Pair(clock)
    kept.give_back(ROUTE, pair.mine)
    for wait in waits[:-1]:
        clock.sleep(wait)
        assert kept.take(ROUTE) is pair.mine
        kept.give_back(ROUTE, pair.mine)
    clock.sleep(waits[-1])
    assert (kept.take(ROUTE) is pair.mine) is kept_at_the_end


def test_the_oldest_goes_when_there_are_too_many() -> None:
    clock = Hand()
    kept, pairs = Connections(SETTINGS, clock), [Pair(clock) for _ in range(3)]
    for pair in pairs:
        kept.give_back(ROUTE, pair.mine)
    assert pairs[0].other.recv(1) == b""  # closed
    assert [kept.take(ROUTE) for _ in range(3)] == [pairs[2].mine, pairs[1].mine, None]


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
    clock = Hand()
    kept, pair = Connections(SETTINGS, clock), Pair(clock)
    kept.give_back(ROUTE, pair.mine)
    assert kept.take(other) is None
    assert kept.take(ROUTE) is pair.mine


def test_what_the_host_closed_or_spoke_on_is_not_used() -> None:
    clock = Hand()
    kept = Connections(SETTINGS, clock)
    for spoil in (lambda pair: pair.other.close(), lambda pair: pair.other.send(b"HTTP/1.1 200 OK")):
        before, after = Pair(clock), Pair(clock)
        spoil(before)
        kept.give_back(ROUTE, before.mine)
        assert kept.take(ROUTE) is None
        kept.give_back(ROUTE, after.mine)
        spoil(after)
        assert kept.take(ROUTE) is None
