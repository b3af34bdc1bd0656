"""Token for token what transformers' own generate() says, whoever else is being answered."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.pipeline.decode.tiles import Tiling, arrangements, to_tiles
from sightstream.pipeline.engine.build import build_engine
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.generate import GenerateEngine
from sightstream.pipeline.engine.slots.block_allocator import PAGE_SIZE
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.types import Completion, EngineJob, Pixels
from tests.pipeline.engine.slots.asking import SIDE, answers, demo_image, image_of_tiles, job, slot_settings

pytestmark = pytest.mark.slow

CONTEXT = 2048  # of the embedded model
TALK = "My aunt, who sells such things on a market far from here, would like to know. "
QUESTIONS = (
    "What is it?",
    "x",
    f"{TALK * 2}What does it cost?",  # with its answer it fills more than one page
    "Describe the product in the picture for a blind customer, please: its colour, its pattern, how many there are.",
    f"{TALK * 18}How many are there?",
)
LIMITS = (90, 7, 90, 1, 40, 90, 160)


def pool() -> list[EngineJob]:
    """All arrangements of tiles twice, question lengths and limits in turn, some real sizes, a full context."""
    shapes = [*arrangements(4)] * 2
    images = [image_of_tiles(seed, *shape) for seed, shape in enumerate(shapes)]
    images += [demo_image(seed, size) for seed, size in enumerate([(101, 90), (640, 480), (700, 260), (61, 333)])]
    jobs = [
        job(number, image, QUESTIONS[number % len(QUESTIONS)], max_tokens=LIMITS[number % len(LIMITS)])
        for number, image in enumerate(images)
    ]
    return [*jobs, job(len(jobs), image_of_tiles(99, 2, 2), question="a b " * 1010, max_tokens=100)]


JOBS = pool()


@pytest.fixture(scope="module")
def expected(stock: Checkpoint) -> dict[int, Completion]:
    """Each alone."""
    return answers(GenerateEngine(stock, slot_settings(kind="generate", max_batch=1), lambda: None), JOBS)


def test_the_pool_asks_for_all_there_is(expected: dict[int, Completion]) -> None:
    said = [*expected.values()]
    assert {answer.finish_reason for answer in said} == {"stop", "length"}
    assert len({answer.text for answer in said}) >= len(JOBS) - 4
    pages = [(answer.prompt_tokens, answer.prompt_tokens + answer.completion_tokens) for answer in said]
    assert any(start <= PAGE_SIZE < end - 1 for start, end in pages)
    assert any(start > 2 * PAGE_SIZE for start, _ in pages)
    full = expected[JOBS[-1].id]
    assert full.prompt_tokens + full.completion_tokens == CONTEXT
    assert full.finish_reason == "length"


@pytest.mark.parametrize("batch", [3, 32])
def test_every_answer_is_that_of_generate(checkpoint: Checkpoint, expected: dict[int, Completion], batch: int) -> None:
    engine = SlotEngine(checkpoint, slot_settings(max_batch=batch), lambda: None)
    gaps = [number * 5 % 13 for number in range(len(JOBS))]
    assert answers(engine, JOBS, gaps) == expected


def test_a_canvas_is_answered_as_the_image_on_it(checkpoint: Checkpoint, expected: dict[int, Completion]) -> None:
    tiling, engine = Tiling(SIDE, 4), SlotEngine(checkpoint, slot_settings(), lambda: None)
    jobs = [
        dataclasses.replace(each, pixels=to_tiles(each.pixels, tiling))
        for each in JOBS[::3]
        if isinstance(each.pixels, Pixels)
    ]
    assert len(jobs) == len(JOBS[::3])
    assert answers(engine, jobs) == {each.id: expected[each.id] for each in jobs}


def test_in_nf4_too() -> None:
    """Quantized layers have no weights to share."""
    jobs = JOBS[:6]
    engines = [
        build_engine(slot_settings(kind=kind, quantization="nf4", max_batch=batch), lambda: None)
        for kind, batch in (("generate", 1), ("slots", 4))
    ]
    assert answers(engines[0], jobs) == answers(engines[1], jobs)


arrivals = st.lists(st.tuples(st.sampled_from(JOBS), st.integers(0, 25)), min_size=2, max_size=10)


@settings(deadline=None, max_examples=7, derandomize=True)
@given(arrivals, st.integers(1, 6))
def test_in_any_company(
    checkpoint: Checkpoint, expected: dict[int, Completion], arrivals: list[tuple[EngineJob, int]], batch: int
) -> None:
    """The same question may be there twice; then under two numbers."""
    engine = SlotEngine(checkpoint, slot_settings(max_batch=batch), lambda: None)
    jobs = [dataclasses.replace(asked, id=number) for number, (asked, _) in enumerate(arrivals)]
    found = answers(engine, jobs, [gap for _, gap in arrivals][1:])
    assert found == {number: expected[asked.id] for number, (asked, _) in enumerate(arrivals)}
