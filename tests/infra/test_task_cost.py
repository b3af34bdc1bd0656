"""The estimate fits what was measured, and counts what a task asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.infra.task_cost import estimate
from tests.producers.tasks.files import TWO_STAGES, one_question, task

# Prompts of about 50 tokens.
SECTIONS = 'text = "' + "word " * 30 + '"\nmax_tokens = '


@pytest.mark.parametrize(("tokens", "images_per_s"), [(16, 19.9), (48, 18.7), (256, 12.6)])
def test_it_fits_what_was_measured(tmp_path: Path, tokens: int, images_per_s: float) -> None:
    cost = estimate(task(tmp_path, one_question(f"{SECTIONS}{tokens}")))
    assert 1 / cost.gpu_s == pytest.approx(images_per_s, rel=0.02)


def test_it_fits_what_was_measured_at_low_detail(tmp_path: Path) -> None:
    cost = estimate(task(tmp_path, 'detail = "low"\n' + one_question(f"{SECTIONS}48")))
    assert 1 / cost.gpu_s == pytest.approx(56.4, rel=0.04)


def test_five_questions_of_one_image_cost_a_third_of_five_images(tmp_path: Path) -> None:
    one = f"{SECTIONS}40"
    more = "".join(f'\n[[questions]]\nid = "q{n}"\n{one}' for n in range(4))
    alone, together = (estimate(task(tmp_path, one_question(one + rest))) for rest in ("", more))
    assert 5 * alone.gpu_s / together.gpu_s == pytest.approx(3.5, rel=0.05)


def test_low_detail_looks_once_at_one_tile(tmp_path: Path) -> None:
    low, high = (estimate(task(tmp_path, TWO_STAGES.replace('"low"', f'"{detail}"'))) for detail in ("low", "high"))
    assert low.questions == high.questions
    assert low.look_s < high.look_s / 4


def test_the_prompt_counts_with_its_format_and_tokens_with_the_tasks_options(tmp_path: Path) -> None:
    category, shirt = estimate(task(tmp_path)).questions
    assert category.prompt_chars == len("What is sold as {title}?\nAnswer with one of: shirt, mug")
    assert (category.max_tokens, shirt.max_tokens) == (64, 64)
    assert shirt.gpu_s > category.gpu_s  # choices are scored, not written


def test_a_choice_with_reasoning_is_written_too(tmp_path: Path) -> None:
    choice = 'text = "?"\nchoices = ["a", "b"]\nmax_tokens = 100'
    plain, reasoned = (estimate(task(tmp_path, one_question(choice + more))) for more in ("", "\nreasoning = true"))
    assert reasoned.gpu_s > plain.gpu_s + 0.01
