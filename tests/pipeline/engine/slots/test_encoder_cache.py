"""Checks that an image is encoded once for all questions about it, while it is cached."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots.encoder_cache import EncoderCache
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.engine.slots.vision import VisionEncoder
from sightstream.pipeline.types import Canvas
from tests.pipeline.engine.slots.asking import answers, image_of_tiles, job, slot_settings

pytestmark = pytest.mark.slow

KIB = 1024


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Canvas]:
    """Every image that the vision model encodes."""
    right, seen = VisionEncoder.encode, list[Canvas]()

    def encode(self: VisionEncoder, canvas: Canvas, *, alone: bool) -> torch.Tensor:
        seen.append(canvas)
        return right(self, canvas, alone=alone)

    monkeypatch.setattr(VisionEncoder, "encode", encode)
    return seen


def engine_of(checkpoint: Checkpoint, **changes: object) -> SlotEngine:
    return SlotEngine(checkpoint, slot_settings(**changes), lambda: None)


@pytest.mark.parametrize("gap", [0, 1, 200])
def test_two_questions_about_an_image(checkpoint: Checkpoint, encoded: list[Canvas], gap: int) -> None:
    pixels, questions = image_of_tiles(2, 1, 2), ["What is it?", "How many are there?"]
    alone = answers(engine_of(checkpoint), [job(n, pixels, question) for n, question in enumerate(questions)])
    assert len(encoded) == 2
    encoded.clear()
    shared = [job(n, pixels, question, image_key="a") for n, question in enumerate(questions)]
    assert answers(engine_of(checkpoint), shared, [gap]) == alone
    assert len(encoded) == 1


def test_other_images_between_do_not_get_into_it(checkpoint: Checkpoint, encoded: list[Canvas]) -> None:
    shapes = [(1, 1), (2, 2), (1, 2)]
    jobs = [job(n, image_of_tiles(n % 3, *shapes[n % 3]), f"What is it? {n}", max_tokens=40) for n in range(12)]
    alone = answers(engine_of(checkpoint, max_batch=5), jobs)
    encoded.clear()
    keyed = [job(n, j.pixels, j.question, max_tokens=40, image_key="abc"[n % 3]) for n, j in enumerate(jobs)]
    assert answers(engine_of(checkpoint, max_batch=5), keyed, [n % 3 for n in range(12)]) == alone
    assert len(encoded) == 3


def test_without_a_key_nothing_is_cached(checkpoint: Checkpoint, encoded: list[Canvas]) -> None:
    jobs = [job(n, image_of_tiles(1), max_tokens=5) for n in range(4)]
    found = answers(engine_of(checkpoint), jobs)
    assert all(each == found[0] for each in found.values())
    assert len(encoded) == 4


@pytest.mark.parametrize("gap", [0, 1, 20])
def test_its_pages_serve_further_questions_without_the_cache(
    checkpoint: Checkpoint, encoded: list[Canvas], gap: int
) -> None:
    jobs = [job(n, image_of_tiles(1), max_tokens=5, image_key="a") for n in range(4)]
    found = answers(engine_of(checkpoint, encoder_cache_mib=0), jobs, [gap] * 3)
    assert all(each == found[0] for each in found.values())
    assert len(encoded) == 1


def test_what_was_pushed_out_is_encoded_again(checkpoint: Checkpoint, encoded: list[Canvas]) -> None:
    """A MiB holds few of the embedded model's images."""
    engine = engine_of(checkpoint, encoder_cache_mib=1, max_batch=1)
    jobs = [job(n, image_of_tiles(n % 8), max_tokens=2, image_key=str(n % 8)) for n in range(16)]
    found = answers(engine, jobs)
    assert len(encoded) == 16
    assert all(found[n] == found[n + 8] for n in range(8))


sizes = st.lists(st.tuples(st.sampled_from([*"abcdef", None]), st.integers(1, 6)), max_size=40)


@given(sizes, st.integers(0, 12))
def test_the_newest_that_fit_are_kept(uses: list[tuple[str | None, int]], limit: int) -> None:
    """Each use asks first, and keeps what it had to make: as the prefill does."""
    kept, model = EncoderCache(limit * KIB), dict[str, torch.Tensor]()
    for key, size in uses:
        found = kept.get(key)
        expected = None if key is None else model.get(key)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert torch.equal(found, expected)
        if key is None:
            kept.put(key, torch.zeros(size * KIB, dtype=torch.uint8))
        elif found is None:
            states = torch.full((size * KIB,), ord(key), dtype=torch.uint8)
            kept.put(key, states)
            if size <= limit:
                model[key] = states.clone()
            states.zero_()  # the next image overwrites them
        else:
            model[key] = model.pop(key)
        while sum(len(states) for states in model.values()) > limit * KIB:
            model.pop(next(iter(model)))
        assert sum(states.nbytes for states in kept._states.values()) <= limit * KIB
        assert {*model} == {*kept._states}


def test_cleared_it_holds_nothing() -> None:
    kept = EncoderCache(KIB)
    kept.put("a", torch.zeros(KIB, dtype=torch.uint8))
    kept.clear()
    assert kept.get("a") is None
    kept.put("b", torch.ones(KIB, dtype=torch.uint8))
    assert kept.get("b") is not None
