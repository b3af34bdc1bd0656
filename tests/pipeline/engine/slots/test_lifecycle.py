"""Checks how jobs end that are not simply answered, and that each of them frees its memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots import engine as engine_module
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.errors import Cancelled, Rejected
from sightstream.pipeline.types import Completion, EngineJob
from sightstream.schemas.wire.dead_letter import Reason
from tests.pipeline.engine.slots.asking import completion_of, endings, image_of_tiles, job, slot_settings
from tests.pipeline.engine.slots.fake_runner import FakeModelRunner, answer

pytestmark = pytest.mark.slow

LONG = 12 * 128  # tokens: more than half of all pages


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(
    request: pytest.FixtureRequest, checkpoint: Checkpoint, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> SlotEngine:
    """On a fake runner, of three slots if nothing else is said."""
    monkeypatch.setattr(engine_module, "ModelRunner", FakeModelRunner)
    return SlotEngine(checkpoint, slot_settings(max_batch=getattr(request, "param", 3)), lambda: None, clock)


@pytest.fixture
def runner(engine: SlotEngine) -> Any:
    return engine._runner


def turns(engine: SlotEngine, count: int) -> dict[int, Any]:
    """The outcomes of so many turns."""
    return {finished.id: finished.outcome for _ in range(count) for finished in engine.finished(0)}


def all_free(engine: SlotEngine) -> bool:
    scheduler, capacity = engine._scheduler, engine._runner.capacity
    scheduler.check_integrity()
    return (len(scheduler.pages), len(scheduler.tiles)) == (capacity.pages - 1, capacity.tiles - 1)


def asked(number: int, max_tokens: int = 100, **rest: Any) -> EngineJob:
    """23 tokens are the most that the fake model says."""
    return job(number, image_of_tiles(0, 1, 2), max_tokens=max_tokens, **rest)


def test_the_fake_is_read_as_it_speaks(engine: SlotEngine) -> None:
    found = endings(engine, [asked(number) for number in range(1, 40)])
    assert [completion_of(found[number]).completion_tokens for number in range(1, 40)] == [
        len(answer(number)) for number in range(1, 40)
    ]
    assert all_free(engine)


def test_cancelled_while_it_waits(engine: SlotEngine, runner: Any) -> None:
    for number in range(1, 6):
        engine.submit(asked(number))
    turns(engine, 1)
    engine.cancel(5)
    assert 5 not in runner.prefilled
    assert isinstance(turns(engine, 1)[5], Cancelled)
    assert all(isinstance(outcome, Completion) for outcome in turns(engine, 100).values())
    assert 5 not in runner.prefilled
    assert all_free(engine)


def test_cancelled_while_it_is_prefilled(engine: SlotEngine, runner: Any) -> None:
    engine.submit(asked(3))
    turns(engine, 1)
    runner.quick = False
    engine.submit(asked(6))
    turns(engine, 1)
    assert runner.prefilled == [3, 6]
    free = len(engine._scheduler.pages)
    engine.cancel(6)
    assert turns(engine, 3) == {}
    assert len(engine._scheduler.pages) == free  # the device may still write there
    runner.quick = True
    assert isinstance(turns(engine, 1)[6], Cancelled)
    assert len(engine._scheduler.pages) > free
    assert isinstance(turns(engine, 40)[3], Completion)
    assert all_free(engine)


def test_cancelled_in_mid_answer(engine: SlotEngine) -> None:
    for number in (3, 6, 16):
        engine.submit(asked(number))
    assert turns(engine, 5) == {}
    engine.cancel(6)
    assert isinstance(turns(engine, 1)[6], Cancelled)
    rest = turns(engine, 60)
    assert {number: outcome.completion_tokens for number, outcome in rest.items()} == {3: 22, 16: 21}
    assert all_free(engine)


@pytest.mark.parametrize("short_of", ["decode", "prefill"])
def test_cancelled_and_then_memory_runs_out(engine: SlotEngine, runner: Any, short_of: str) -> None:
    for number in (3, 6, 16, 9):
        engine.submit(asked(number))
    turns(engine, 5)
    engine.cancel(6)
    engine.submit(asked(10))
    runner.short_of = short_of
    found = turns(engine, 100)
    assert engine.capacity() == 2
    assert isinstance(found.pop(6), Cancelled)
    assert {n: outcome.completion_tokens for n, outcome in found.items()} == {3: 22, 16: 21, 9: 18, 10: 2}
    assert all_free(engine)


def test_cancelled_twice_or_after_the_end_or_never_heard_of(engine: SlotEngine) -> None:
    engine.submit(asked(3))
    turns(engine, 2)
    for number in (3, 3, 77):
        engine.cancel(number)
    assert list(turns(engine, 5)) == [3]
    engine.cancel(3)
    assert turns(engine, 5) == {}


@pytest.mark.parametrize("where", ["waiting", "in prefill", "in mid-answer"])
def test_a_deadline_passes(engine: SlotEngine, runner: Any, clock: Clock, where: str) -> None:
    engine.submit(asked(3))
    if where == "waiting":
        for number in (6, 16):
            engine.submit(asked(number))
    turns(engine, 2)
    runner.quick = where != "in prefill"
    engine.submit(asked(9, deadline=1005.0))
    turns(engine, 2)
    assert (9 in runner.prefilled) == (where != "waiting")
    clock.now = 1005.0
    assert 9 not in turns(engine, 1)
    clock.now, runner.quick = 1005.1, True
    outcome = turns(engine, 1)[9]
    assert isinstance(outcome, Rejected)
    assert outcome.reason == Reason.DEADLINE_EXCEEDED
    assert all(isinstance(outcome, Completion) for outcome in turns(engine, 60).values())
    assert all_free(engine)


def test_too_late_when_it_comes(engine: SlotEngine, runner: Any) -> None:
    engine.submit(asked(1, deadline=999.0))
    assert turns(engine, 1)[1].reason == Reason.DEADLINE_EXCEEDED
    assert runner.prefilled == []


def test_a_question_too_long(engine: SlotEngine, runner: Any) -> None:
    engine.submit(asked(3, question="word " * 1600))
    engine.submit(asked(6, question="word " * 400))
    found = turns(engine, 60)
    assert found[3].reason == Reason.QUESTION_TOO_LONG
    assert isinstance(found[6], Completion)
    assert runner.prefilled == [6]
    assert all_free(engine)


def test_who_needs_more_pages_than_are_free_waits_and_is_not_overtaken(engine: SlotEngine, runner: Any) -> None:
    engine.submit(asked(3, max_tokens=LONG))
    engine.submit(asked(6, max_tokens=LONG))
    engine.submit(asked(9))
    assert turns(engine, 10) == {}
    assert runner.prefilled == [3]
    assert sorted(turns(engine, 60)) == [3, 6, 9]
    assert runner.prefilled == [3, 6, 9]
    assert all_free(engine)


@pytest.mark.parametrize("engine", [1, 3, 7, 10], indirect=True)
def test_no_more_are_in_work_than_there_are_slots(engine: SlotEngine, runner: Any) -> None:
    for number in range(1, 21):
        engine.submit(asked(number))
    ended = 0
    for turn in range(600):
        runner.quick = turn % 7 == 6
        ended += len(engine.finished(0))
        assert len(runner.prefilled) - ended <= engine.capacity()
    assert ended == 20


def test_an_idle_engine_waits_as_long_as_it_may(engine: SlotEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    assert engine.finished(0.25) == []
    engine.submit(asked(1, deadline=1.0))
    assert len(engine.finished(0.25)) == 1
    assert naps == [0.25]


def test_after_stop_nothing_that_waits_begins(engine: SlotEngine, runner: Any) -> None:
    engine.submit(asked(1))
    engine.stop()
    assert turns(engine, 5) == {}
    assert runner.prefilled == []


# --- on the model ---------------------------------------------------------------------------------------------------


def test_on_the_model_too(checkpoint: Checkpoint, clock: Clock) -> None:
    engine = SlotEngine(checkpoint, slot_settings(max_batch=2), lambda: None, clock)
    for number in range(5):
        engine.submit(job(number, image_of_tiles(number), max_tokens=200, deadline=1001.0 if number == 1 else None))
    engine.submit(job(5, question="word " * 1600))
    found = turns(engine, 3)
    engine.cancel(0)
    engine.cancel(4)
    clock.now = 1001.5
    found |= turns(engine, 300)
    assert [type(found[number]) for number in range(6)] == [
        Cancelled, Rejected, Completion, Completion, Cancelled, Rejected,
    ]  # fmt: skip
    assert all_free(engine)
