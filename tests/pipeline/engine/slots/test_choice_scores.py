"""Checks the scores of choices against those of one stock forward pass for each choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from sightstream.pipeline.constraints.choice_confidence import choice_confidence
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.format_prompt import with_format
from sightstream.pipeline.engine.generate_turns import images_of
from sightstream.pipeline.engine.prompt import PromptWriter
from sightstream.pipeline.engine.slots import choice_encoder, choice_scorer
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.engine.slots.prefill import Prefill
from sightstream.pipeline.engine.slots.prefill_inputs import PrefillInputs
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.types import Completion, EngineJob
from sightstream.schemas.wire.response_format import ChoiceFormat
from tests.pipeline.engine.slots.asking import (
    answers,
    choice_of,
    completion_of,
    endings,
    image_of_tiles,
    job,
    slot_settings,
    structured,
)

pytestmark = pytest.mark.slow

BOUND = 1e-3
CHOICES = (
    choice_of("red", "red wine", "blue", "a red mug", "a red", "青い", "Red", "red wine from a far country"),
    choice_of("mug", "mugs"),
    choice_of(*(f"{first}{second}" for first in "abcdefgh" for second in "stuvwxyz")),
    choice_of("<SUMMARY>red</SUMMARY>", "<|eot_id|>", "<|image|>", "nothing"),
)
SHAPES = [(1, 1), (1, 3), (2, 2), (2, 1)]
JOBS = [
    structured(job(n, image_of_tiles(n, *SHAPES[n % 4]), "What is it? " * (1 + 3 * (n % 2))), CHOICES[n % 4])
    for n in range(6)
]


@pytest.fixture(scope="module")
def scored(checkpoint: Checkpoint) -> dict[int, Completion]:
    return answers(SlotEngine(checkpoint, slot_settings(), lambda: None), JOBS, [0, 2, 0, 0, 1])


def brute_force(stock: Checkpoint, asked: EngineJob, terminators: Sequence[str], prefix: str = "") -> list[float]:
    """The log-probability of each choice and an end, from a forward pass over prompt, choice and nothing else."""
    return [_score(stock, asked, choice, terminators, prefix) for choice in _choices(asked)]


def _choices(asked: EngineJob) -> tuple[str, ...]:
    assert isinstance(asked.response_format, ChoiceFormat)
    return asked.response_format.choices


def _score(stock: Checkpoint, asked: EngineJob, choice: str, terminators: Sequence[str], prefix: str) -> float:
    tokenizer = stock.processor.tokenizer
    prompt = PromptWriter(stock.processor).write(with_format(asked.question, asked.response_format)) + prefix
    inputs: Any = stock.processor(
        images=[list(images_of(asked))],
        text=[prompt],
        add_special_tokens=False,
        return_tensors="pt",
    )
    tokens = tokenizer.encode(choice, add_special_tokens=False, split_special_tokens=True)
    start = inputs["input_ids"].shape[1]
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([tokens])], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    mask = inputs["cross_attention_mask"]
    inputs["cross_attention_mask"] = torch.cat([mask, mask[:, -1:].expand(-1, len(tokens), -1, -1)], dim=1)
    with torch.inference_mode():
        logprobs = stock.model(**inputs).logits[0].log_softmax(dim=-1)
    ends = [stock.processor.tokenizer.convert_tokens_to_ids(each) for each in terminators]
    steps = [logprobs[start - 1 + at, token].item() for at, token in enumerate(tokens)]
    return float(sum(steps) + logprobs[-1, ends].logsumexp(dim=-1).item())


def ends_of(stock: Checkpoint) -> list[str]:
    tokens: list[str] = stock.processor.tokenizer.convert_ids_to_tokens(stock.model.generation_config.eos_token_id)
    return tokens


def probabilities(completion: Completion) -> dict[str, float]:
    return {each.value: each.probability for each in completion.confidence.choices}


def check(completion: Completion, asked: EngineJob, expected: list[float]) -> None:
    wanted = choice_confidence(_choices(asked), expected)
    assert completion.confidence.kind == "exact"
    found, right = probabilities(completion), {each.value: each.probability for each in wanted.choices}
    for choice, probability in found.items():
        assert probability == pytest.approx(right.get(choice, 0.0), abs=BOUND)
    assert completion.confidence.value == pytest.approx(wanted.value, abs=BOUND)
    assert completion.confidence.other == pytest.approx(wanted.other, abs=BOUND)
    assert completion.text == wanted.choices[0].value
    assert completion.finish_reason == "stop"


@pytest.mark.parametrize("number", range(6))
def test_probabilities_are_those_of_one_pass_for_each_choice(
    scored: dict[int, Completion], stock: Checkpoint, number: int
) -> None:
    asked = JOBS[number]
    check(scored[number], asked, brute_force(stock, asked, ends_of(stock)))


def test_the_scores_themselves_are_those_of_brute_force(
    checkpoint: Checkpoint, stock: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Probabilities may hide an error that all choices have in common."""
    found = list[list[float]]()

    def keep(choices: Sequence[str], logprobs: Sequence[float]) -> Any:
        found.append([*logprobs])
        return choice_confidence(choices, logprobs)

    monkeypatch.setattr("sightstream.pipeline.engine.slots.completion.choice_confidence", keep)
    answers(SlotEngine(checkpoint, slot_settings(), lambda: None), JOBS[:1])
    assert found == [pytest.approx(brute_force(stock, JOBS[0], ends_of(stock)), abs=BOUND)]


def test_the_pool_is_no_easy_one(scored: dict[int, Completion]) -> None:
    """Some choices are uncertain, so that a wrong score would show."""
    assert any(0.02 < each < 0.98 for answer in scored.values() for each in probabilities(answer).values())


def test_padding_to_a_graphs_size_changes_nothing(
    checkpoint: Checkpoint, scored: dict[int, Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    def padded(_: Prefill, requests: Sequence[Request]) -> tuple[int, int]:
        return 4, -(-max(request.prefill_tokens for request in requests) // 64) * 64

    monkeypatch.setattr(Prefill, "_size", padded)
    again = answers(SlotEngine(checkpoint, slot_settings(), lambda: None), JOBS, [0, 2, 0, 0, 1])
    same(again, scored)


def test_trees_in_parts_and_logits_in_parts_change_nothing(
    checkpoint: Checkpoint, scored: dict[int, Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice_encoder, "MAX_TREE_TOKENS", 12)
    monkeypatch.setattr(choice_scorer, "ROWS_AT_ONCE", 3)
    same(answers(SlotEngine(checkpoint, slot_settings(max_batch=2), lambda: None), JOBS), scored)


def same(found: dict[int, Completion], expected: dict[int, Completion]) -> None:
    for number, completion in expected.items():
        assert probabilities(found[number]) == pytest.approx(probabilities(completion), abs=1e-5)
        assert found[number].text == completion.text
        assert found[number].completion_tokens == completion.completion_tokens


def test_a_tree_whose_branches_see_each_other_breaks_the_bound(
    checkpoint: Checkpoint, scored: dict[int, Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    def causal(inputs: PrefillInputs) -> torch.Tensor:
        indices = torch.arange(inputs.tokens_each)
        return ((indices[:, None] >= indices) & inputs.token_mask[:, None, :])[:, None] | (indices[:, None] == indices)

    monkeypatch.setattr(PrefillInputs, "text_mask", property(causal))
    found = answers(SlotEngine(checkpoint, slot_settings(), lambda: None), JOBS)
    differences = [
        abs(probabilities(found[number]).get(choice, 0) - probability)
        for number, completion in scored.items()
        for choice, probability in probabilities(completion).items()
    ]
    assert max(differences) > 10 * BOUND


def test_in_a_conclusion_the_closing_tag_ends_a_choice(checkpoint: Checkpoint, stock: Checkpoint) -> None:
    asked = structured(job(1, image_of_tiles(1), "What is it?", max_tokens=160), CHOICES[0], reasons=True)
    completion = answers(SlotEngine(checkpoint, slot_settings(guided_sections=True), lambda: None), [asked])[1]
    assert completion.reasoning is not None
    assert completion.reasoning.startswith("<SUMMARY>")
    assert completion.reasoning.endswith("</REASONING>")
    prefix = completion.reasoning + "<CONCLUSION>"
    check(completion, asked, brute_force(stock, asked, [*ends_of(stock), "</CONCLUSION>"], prefix))
    written = [*tokens_of(checkpoint, prefix), *tokens_of(checkpoint, completion.text)]
    assert completion.completion_tokens == len(written) + 1


def tokens_of(checkpoint: Checkpoint, text: str) -> list[int]:
    tokens: list[int] = checkpoint.processor.tokenizer.encode(text, add_special_tokens=False)
    return tokens


def test_a_warm_choice_is_the_likeliest_too(checkpoint: Checkpoint, scored: dict[int, Completion]) -> None:
    engine = SlotEngine(checkpoint, slot_settings(), lambda: None)
    warm = structured(job(0, image_of_tiles(0, *SHAPES[0]), temperature=2.0, seed=1), CHOICES[0])
    assert answers(engine, [warm])[0].text == scored[0].text


def test_no_page_of_text_is_held_for_a_choice_and_all_else_is_freed(checkpoint: Checkpoint) -> None:
    engine = SlotEngine(checkpoint, slot_settings(), lambda: None)
    for each in endings(engine, JOBS).values():
        completion_of(each)
    scheduler = engine._scheduler
    scheduler.check_integrity()
    assert len(scheduler.pages) == scheduler.capacity.pages - 1
    assert len(scheduler.tiles) == scheduler.capacity.tiles - 1
    assert math.isclose(sum(probabilities(completion_of(endings(engine, JOBS[:1])[0])).values()), 1, abs_tol=1e-6)
