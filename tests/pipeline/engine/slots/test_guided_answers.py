"""Guided answers of the embedded model, which writes its four sections anyway."""

from __future__ import annotations

from typing import Any

import pytest

from sightstream.pipeline.answer import SECTIONS, parse
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.types import Completion
from tests.pipeline.engine.slots.asking import answers, image_of_tiles, job, slot_settings

pytestmark = pytest.mark.slow

SHAPES = [(1, 1), (1, 3), (2, 2), (2, 1)]
Completions = dict[int, Completion]

LEAST = 56  # tokens: eight tags of one each, and enough for all four sections


def ask(checkpoint: Checkpoint, guided: bool, **options: Any) -> dict[int, Completion]:
    changes = {"guided_sections": guided, "section_separator": "", "max_batch": 3}
    engine = SlotEngine(checkpoint, slot_settings(**changes), lambda: None)
    questions = ["What is it?", "What does it cost?", "Describe it for a blind customer, please."]
    jobs = [job(n, image_of_tiles(n, *SHAPES[n % 4]), questions[n % 3], **options) for n in range(6)]
    return answers(engine, jobs, [n % 4 for n in range(6)])


def whole(text: str) -> bool:
    """All four tags, each closed, in order, once."""
    tags = [tag for name in SECTIONS for tag in (f"<{name}>", f"</{name}>")]
    positions = [text.find(tag) for tag in tags]
    return positions == sorted(positions) and positions[0] == 0 and all(text.count(tag) == 1 for tag in tags)


@pytest.fixture(scope="module")
def free(checkpoint: Checkpoint) -> dict[int, Completion]:
    return ask(checkpoint, False, max_tokens=300)


def test_what_is_said_freely_in_sections_is_said_guided_too(checkpoint: Checkpoint, free: Completions) -> None:
    guided = ask(checkpoint, True, max_tokens=300)
    assert {number: answer.text for number, answer in guided.items()} == {
        number: answer.text for number, answer in free.items()
    }
    assert {answer.finish_reason for answer in guided.values()} == {"stop"}
    assert all(whole(answer.text) for answer in guided.values())


@pytest.mark.parametrize("max_tokens", [LEAST, 64])
def test_cut_answers_are_closed_and_say_so(checkpoint: Checkpoint, free: Completions, max_tokens: int) -> None:
    guided = ask(checkpoint, True, max_tokens=max_tokens)
    assert all(whole(answer.text) and parse(answer.text).complete for answer in guided.values())
    assert all(answer.completion_tokens <= max_tokens for answer in guided.values())
    cut = {number for number, answer in guided.items() if answer.text != free[number].text}
    assert cut == {number for number, answer in guided.items() if answer.finish_reason == "length"}
    assert cut


def test_warm_answers_have_their_sections_too(checkpoint: Checkpoint) -> None:
    guided = ask(checkpoint, True, max_tokens=90, temperature=1.0, seed=3)
    assert all(whole(answer.text) for answer in guided.values())
    assert guided == ask(checkpoint, True, max_tokens=90, temperature=1.0, seed=3)


def test_too_few_tokens_for_four_sections_are_spent_freely(checkpoint: Checkpoint) -> None:
    guided, free = (ask(checkpoint, guided, max_tokens=LEAST - 20) for guided in (True, False))
    assert guided == free
    assert {answer.finish_reason for answer in guided.values()} == {"length"}
