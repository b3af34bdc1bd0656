"""When the look-up says that it is ready, and when it gives up, on a table that does as it is told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from sightstream.consumers.lookup.catch_up import CatchUp
from sightstream.consumers.lookup.errors import TableFailed
from sightstream.consumers.lookup.run import Lookup
from tests.consumers.lag.fakes import FakeBroker, FakeConsumer, FakeLog


class FakeTable:
    """What Lookup uses of NewestTable."""

    def __init__(self) -> None:
        self.is_recovered = False
        self.failure: Exception | None = None
        self.read_again_from: list[tuple[int, int]] = []
        self.on_assigned: Any = None
        self.app = SimpleNamespace(on_partitions_assigned=SimpleNamespace(connect=self._connect))
        self.topics = SimpleNamespace(results="results")
        self.on_entered = lambda partition, offset: None

    def _connect(self, handler: Any) -> None:
        self.on_assigned = handler

    def recovered(self) -> bool:
        return self.is_recovered

    def held_partitions(self) -> set[int]:
        return {0}

    def partition_of(self, key: bytes) -> int:
        return int(key)

    def error(self) -> Exception | None:
        return self.failure

    async def read_again(self, partition: int, offset: int) -> None:
        self.read_again_from.append((partition, offset))

    async def assign(self) -> None:
        tps = {TP("results", 0), TP("a-changelog", 0)}
        await self.on_assigned(None, tps)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table() -> FakeTable:
    return FakeTable()


@pytest.fixture
def lookup(table: FakeTable, clock: Clock) -> Lookup:
    logs = {("results", 0): FakeLog({0: 0, 1: 0}, 3)}
    catch_up = CatchUp(FakeBroker(logs), FakeConsumer(logs), "g", "results")  # type: ignore[arg-type]
    return Lookup(table, catch_up, 60, clock)  # type: ignore[arg-type]


def look(lookup: Lookup) -> None:
    """One turn of `watch`."""
    lookup._check()
    asyncio.run(lookup._look())


def test_ready_once_recovered_and_every_record_is_entered(lookup: Lookup, table: FakeTable) -> None:
    look(lookup)
    assert "recovered" in str(lookup.why_not_ready())
    asyncio.run(table.assign())
    table.is_recovered = True
    look(lookup)
    assert "catching up" in str(lookup.why_not_ready())
    table.on_entered(0, 0)
    table.on_entered(0, 1)
    look(lookup)
    assert lookup.why_not_ready() is None
    assert lookup.why_not_ready(b"0") is None
    assert "another look-up" in str(lookup.why_not_ready(b"7"))


def test_a_rebalance_takes_the_readiness_away(lookup: Lookup, table: FakeTable) -> None:
    test_ready_once_recovered_and_every_record_is_entered(lookup, table)
    table.is_recovered = False
    assert lookup.why_not_ready() is not None
    asyncio.run(table.assign())
    table.is_recovered = True
    look(lookup)
    assert "catching up" in str(lookup.why_not_ready())


def test_a_record_that_does_not_come_is_read_again(lookup: Lookup, table: FakeTable, clock: Clock) -> None:
    asyncio.run(table.assign())
    table.is_recovered = True
    table.on_entered(0, 1)
    look(lookup)
    clock.now = 2
    look(lookup)
    assert table.read_again_from == []
    clock.now = 4
    look(lookup)
    assert table.read_again_from == [(0, 0)]


def test_a_failure_or_a_table_that_hangs_ends_it(lookup: Lookup, table: FakeTable, clock: Clock) -> None:
    look(lookup)
    clock.now = 61
    with pytest.raises(TableFailed, match="start the look-up again"):
        look(lookup)
    table.is_recovered, table.failure = True, OSError("no space left")
    with pytest.raises(TableFailed, match="no space left"):
        look(lookup)
