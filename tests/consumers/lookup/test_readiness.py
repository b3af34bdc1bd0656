"""When the lookup is ready, and when it gives up, with a table that a test controls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.lookup.catch_up import CatchUp
from sightstream.consumers.lookup.errors import TableFailure
from sightstream.consumers.lookup.run import Lookup
from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.consumers.lookup.table import NewestTable
from tests.consumers.kafka.fakes import FakeBroker, FakeConsumer, FakeLog


class FakeTable:
    """The part of NewestTable that Lookup uses."""

    def __init__(self) -> None:
        self.is_recovered = False
        self.answered_at = 0
        self.failure: Exception | None = None
        self.read_again_from: list[tuple[int, int]] = []
        self.on_assigned: Any = None
        self.app = SimpleNamespace(on_partitions_assigned=SimpleNamespace(connect=self._connect))
        self.topics = SimpleNamespace(results="results")
        self.on_processed: Callable[[int, int], None] = lambda partition, offset: None

    def _connect(self, handler: Any) -> None:
        self.on_assigned = handler

    def recovered(self) -> bool:
        return self.is_recovered

    def held_partitions(self) -> set[int]:
        return {0}

    def fetches(self) -> dict[int, object]:
        return {0: self.answered_at}

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
    logs = {PartitionId("results", 0): FakeLog({0: 0, 1: 0}, 3)}
    catch_up = CatchUp(FakeBroker(logs), FakeConsumer(logs), "g", "results")
    settings = LookupSettings(stuck_after_s=60, session_timeout_s=6)
    return Lookup(cast(NewestTable, table), catch_up, settings, clock)  # FakeTable has the part that Lookup uses


def check(lookup: Lookup) -> None:
    """One turn of `watch`."""
    lookup._observe_answers()
    lookup._check_table()
    asyncio.run(lookup._check_caught_up())


def test_ready_once_recovered_and_every_record_is_processed(lookup: Lookup, table: FakeTable) -> None:
    check(lookup)
    assert "recovered" in str(lookup.why_not_ready())
    asyncio.run(table.assign())
    table.is_recovered = True
    check(lookup)
    assert "catching up" in str(lookup.why_not_ready())
    table.on_processed(0, 0)
    table.on_processed(0, 1)
    check(lookup)
    assert lookup.why_not_ready() is None
    assert lookup.why_not_ready(b"0") is None
    assert "another lookup" in str(lookup.why_not_ready(b"7"))


def test_a_rebalance_takes_the_readiness_away(lookup: Lookup, table: FakeTable) -> None:
    test_ready_once_recovered_and_every_record_is_processed(lookup, table)
    table.is_recovered = False
    assert lookup.why_not_ready() is not None
    asyncio.run(table.assign())
    table.is_recovered = True
    check(lookup)
    assert "catching up" in str(lookup.why_not_ready())


def test_a_record_that_does_not_come_is_read_again(lookup: Lookup, table: FakeTable, clock: Clock) -> None:
    asyncio.run(table.assign())
    table.is_recovered = True
    table.on_processed(0, 1)
    check(lookup)
    clock.now = 2
    check(lookup)
    assert table.read_again_from == []
    clock.now = 4
    check(lookup)
    assert table.read_again_from == [(0, 0)]


def test_a_failure_or_a_table_that_hangs_ends_it(lookup: Lookup, table: FakeTable, clock: Clock) -> None:
    check(lookup)
    clock.now = 61
    with pytest.raises(TableFailure, match="start the lookup again"):
        check(lookup)
    table.is_recovered, table.failure = True, OSError("no space left")
    with pytest.raises(TableFailure, match="no space left"):
        check(lookup)


def test_it_does_not_answer_while_kafka_does_not(lookup: Lookup, table: FakeTable, clock: Clock) -> None:
    test_ready_once_recovered_and_every_record_is_processed(lookup, table)
    clock.now = 5
    check(lookup)
    assert lookup.why_not_ready() is None
    clock.now = 7
    check(lookup)
    assert "Kafka has not answered for 6 s" in str(lookup.why_not_ready())
    assert "Kafka has not answered for 6 s" in str(lookup.why_not_ready(b"0"))
    table.answered_at = 1
    check(lookup)
    assert lookup.why_not_ready() is None
