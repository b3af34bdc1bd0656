"""When the consumer is asked, when it is left alone, and when it is told to pause."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from sightstream.consumers.worker.claims import Claim
from sightstream.consumers.worker.intake import PAUSE_AFTER_S, Intake
from sightstream.consumers.worker.ledger import Ledger
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.retries import Retries
from sightstream.consumers.worker.settings import WorkerSettings


class FakeMessage:
    """A record that can't be read."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def topic(self) -> str:
        return "requests"

    def key(self) -> bytes:
        return b"p"

    def value(self) -> bytes:
        return b"no request"

    def headers(self) -> list[Any]:
        return []


class FakeConsumer:
    """Delivers what it is given; writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.messages: list[FakeMessage] = []

    def poll(self, wait_s: float) -> FakeMessage | None:
        self.asked.append("poll")
        return self.messages.pop(0) if self.messages else None

    def pause(self, partitions: list[Any]) -> None:
        self.asked.append("pause")

    def resume(self, partitions: list[Any]) -> None:
        self.asked.append("resume")


class FakeClaims:
    topic, unpublished = "requests", 0

    def __init__(self) -> None:
        self.claim: Claim = Claim(0, Ledger[OutgoingRecord](0), settled=True)

    def __iter__(self) -> Any:
        return iter([self.claim])

    def get(self, partition: int) -> Claim:
        return self.claim


class FakeFlow:
    free_capacity = 1


class Door:
    def __init__(self) -> None:
        self.now = 100.0
        self.consumer: Any = FakeConsumer()
        self.claims: Any = FakeClaims()
        self.flow: Any = FakeFlow()
        settings = WorkerSettings(max_unpublished=100)
        retries = Retries(settings, self.clock, Random(1))
        self.intake = Intake(settings, self.consumer, self.claims, self.flow, retries, lambda *_: None, self.clock)

    def clock(self) -> float:
        return self.now

    def take(self) -> list[str]:
        """What the consumer was asked in one turn."""
        self.consumer.asked = []
        told = self.intake.take(0.02)
        assert told == ("poll" in self.consumer.asked)
        asked: list[str] = self.consumer.asked
        return asked


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_worker_that_is_full_for_a_moment_pauses_nothing(door: Door) -> None:
    assert door.take() == ["poll"]
    for _ in range(10):
        door.flow.free_capacity = 0
        assert door.take() == []
        door.now += 0.9 * PAUSE_AFTER_S
        assert door.take() == []
        door.flow.free_capacity = 1
        assert door.take() == ["poll"]


def test_one_that_stays_full_pauses_and_polls_on(door: Door) -> None:
    door.flow.free_capacity = 0
    assert door.take() == []
    door.now += PAUSE_AFTER_S
    assert door.take() == ["pause", "poll"]
    door.now += 10
    assert door.take() == ["poll"]
    door.flow.free_capacity = 1
    assert door.take() == ["resume", "poll"]
    door.flow.free_capacity = 0
    assert door.take() == []


def test_a_partition_that_was_not_read_from_yet_stays_open(door: Door) -> None:
    door.claims.claim.settled = False
    door.flow.free_capacity = 0
    door.take()
    door.now += PAUSE_AFTER_S
    assert door.take() == ["poll"]
    door.claims.claim.settled = True
    assert door.take() == ["pause", "poll"]


def test_one_that_is_leaving_takes_nothing_and_polls_on(door: Door) -> None:
    door.intake.shut()
    assert door.take() == []
    door.now += PAUSE_AFTER_S
    assert door.take() == ["pause", "poll"]


@pytest.mark.parametrize(("room", "unpublished", "taken"), [(3, 0, 3), (50, 96, 4), (50, 0, 10)])
def test_no_more_is_taken_in_a_turn_than_there_is_room_for(room: int, unpublished: int, taken: int, door: Door) -> None:
    door.consumer.messages = [FakeMessage(offset) for offset in range(10)]
    door.flow.free_capacity, door.claims.unpublished = room, unpublished
    polls = taken if taken < 10 else taken + 1
    assert door.take() == ["poll"] * polls
    assert len(door.claims.claim.ledger) == taken
