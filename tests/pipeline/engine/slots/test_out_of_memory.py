"""Checks that after an out-of-memory error the engine goes on with fewer slots, and every answer stays the same."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots import model_runner
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.engine.slots.kv_cache import KvCache
from sightstream.pipeline.engine.slots.prefill import Prefill
from sightstream.pipeline.engine.slots.text_decoder import TextDecoder
from sightstream.pipeline.engine.slots.vision import VisionEncoder
from sightstream.pipeline.errors import Cancelled, Fatal
from sightstream.pipeline.types import Completion
from tests.pipeline.engine.slots.asking import answers, endings, image_of_tiles, job, slot_settings

pytestmark = pytest.mark.slow

JOBS = [
    *(
        job(number, image_of_tiles(number, 1, 1 + number % 3), "How many? " * number, max_tokens=30)
        for number in range(5)
    ),
    job(5, image_of_tiles(5), temperature=1.5, seed=4, max_tokens=30),
    job(6, image_of_tiles(6), max_tokens=1),
]
GAPS = [0, 3, 0, 9, 0]
# Where the device is asked for memory: (class, method, the calls that fail).
MOMENTS: dict[str, tuple[type, str, set[int]]] = {
    "the first image": (VisionEncoder, "encode", {1}),
    "an image beside others": (VisionEncoder, "encode", {4}),
    "two images in a row": (VisionEncoder, "encode", {3, 4}),
    "the first prompts": (Prefill, "_forward", {1}),
    "later prompts": (Prefill, "_forward", {2}),
    "the first step": (TextDecoder, "logits", {1}),
    "a later step": (TextDecoder, "logits", {12}),
    "steps and images": (TextDecoder, "logits", {5, 20}),
}


def fail(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, calls: Callable[[int], bool]) -> list[int]:
    """Lets the chosen calls of a method, counted from 1, fail for lack of memory; returns the list of calls."""
    right, made = vars(owner)[name], list[int]()

    def short(*args: Any, **named: Any) -> Any:
        made.append(len(made) + 1)
        if calls(made[-1]):
            raise torch.OutOfMemoryError("no memory, as the test has it")
        return right(*args, **named)

    monkeypatch.setattr(owner, name, short)
    return made


@pytest.fixture(scope="module")
def expected(checkpoint: Checkpoint) -> dict[int, Completion]:
    return answers(SlotEngine(checkpoint, slot_settings(), lambda: None), JOBS, GAPS)


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_answer_comes_as_if_nothing_had_been(
    moment: str, checkpoint: Checkpoint, expected: dict[int, Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, failing = MOMENTS[moment]
    engine = SlotEngine(checkpoint, slot_settings(), lambda: None)
    calls = fail(monkeypatch, owner, name, failing.__contains__)
    assert answers(engine, JOBS, GAPS) == expected
    assert len(calls) > max(failing)
    assert engine.capacity() == {1: 3, 2: 2}[len(failing)]
    assert engine.finished(0) == []


@pytest.mark.parametrize(("slots", "left"), [(3, 1), (12, 4)])
def test_what_no_smaller_batch_helps_ends_the_process(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, slots: int, left: int
) -> None:
    """Then it may be one request, and whoever watches the process finds out which."""
    engine = SlotEngine(checkpoint, slot_settings(max_batch=slots), lambda: None)
    fail(monkeypatch, TextDecoder, "logits", lambda _: True)
    with pytest.raises(torch.OutOfMemoryError):
        endings(engine, JOBS)
    assert engine.capacity() == left


@pytest.mark.parametrize(("failures", "slots"), [(0, 8), (1, 6), (5, 1)])
def test_pages_that_do_not_fit_at_the_start(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, failures: int, slots: int
) -> None:
    fail(monkeypatch, KvCache, "__init__", lambda call: call <= failures)
    engine = SlotEngine(checkpoint, slot_settings(max_batch=8), lambda: None)
    assert engine.capacity() == slots
    assert answers(engine, JOBS[:2])


def test_not_a_single_slot_fits(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, KvCache, "__init__", lambda _: True)
    with pytest.raises(Fatal, match="memory"):
        SlotEngine(checkpoint, slot_settings(max_batch=2), lambda: None)


def test_the_smaller_pages_may_not_fit_either(
    checkpoint: Checkpoint, expected: dict[int, Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SlotEngine(checkpoint, slot_settings(), lambda: None)
    fail(monkeypatch, TextDecoder, "logits", {5}.__contains__)
    fail(monkeypatch, KvCache, "__init__", {1}.__contains__)
    assert answers(engine, JOBS, GAPS) == expected
    assert engine.capacity() == 2


@pytest.mark.parametrize("moment", ["an image beside others", "later prompts", "a later step"])
def test_the_old_pages_are_gone_before_new_ones_are_asked_for(
    moment: str, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error holds on to whatever its frames do: were it still there, nothing would be free."""
    made: list[weakref.ref[KvCache]] = []

    def remembered(*args: Any) -> KvCache:
        assert [pages() for pages in made if pages() is not None] == []
        kv = KvCache(*args)
        made.append(weakref.ref(kv))
        return kv

    monkeypatch.setattr(model_runner, "KvCache", remembered)
    engine = SlotEngine(checkpoint, slot_settings(), lambda: None)
    owner, name, failing = MOMENTS[moment]
    fail(monkeypatch, owner, name, failing.__contains__)
    answers(engine, JOBS, GAPS)
    assert len(made) == 2


def test_who_was_cancelled_before_stays_cancelled(
    checkpoint: Checkpoint, expected: dict[int, Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SlotEngine(checkpoint, slot_settings(), lambda: None)
    fail(monkeypatch, TextDecoder, "logits", {1}.__contains__)
    for each in JOBS:
        engine.submit(each)
    assert engine.finished(0) == []
    engine.cancel(1)
    found = endings(engine, [])
    for _ in range(400):
        found |= {finished.id: finished for finished in engine.finished(0)}
    assert isinstance(found.pop(1).outcome, Cancelled)
    assert {number: finished.outcome for number, finished in found.items()} == {
        number: answer for number, answer in expected.items() if number != 1
    }
