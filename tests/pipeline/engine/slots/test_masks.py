"""Logits against those of generate(), within a bound that every wrong mask breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.generate_turns import Prompt, TurnRunner
from sightstream.pipeline.engine.prompt import PromptWriter
from sightstream.pipeline.engine.slots import pending_tokens
from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.engine.slots.prefill_inputs import PrefillInputs
from sightstream.pipeline.engine.slots.vision_attention import Tokens
from sightstream.pipeline.types import EngineJob
from tests.pipeline.engine.slots.asking import answers, image_of_tiles, job, slot_settings

pytestmark = pytest.mark.slow

BOUND = 1e-4  # in fp32, where 1.4e-5 was measured; logits lie between about -20 and 20
FACTOR = 100  # by which a wrong mask has to break it, at the least
STEPS = 8

# Prefilled together: two prompts are padded, and only the last image fills all tiles.
JOBS = [
    job(0, image_of_tiles(0, 1, 1), "What is it?", max_tokens=STEPS),
    job(1, image_of_tiles(1, 1, 2), "Describe the product in the picture for a blind customer. " * 5, max_tokens=STEPS),
    job(2, image_of_tiles(2, 3, 1), "How many are there, and what do they cost?", max_tokens=STEPS),
    job(3, image_of_tiles(3, 2, 2), "x", max_tokens=STEPS),
]


@pytest.fixture(scope="module")
def expected(stock: Checkpoint) -> torch.Tensor:
    return torch.stack([generated(stock, asked) for asked in JOBS], dim=1)


def generated(stock: Checkpoint, asked: EngineJob) -> torch.Tensor:
    """Logits [steps, vocabulary] of what generate() says to it alone."""
    runner = TurnRunner(stock, 1, lambda: None)
    prompt = Prompt(asked, PromptWriter(stock.processor).write(asked.question), STEPS)
    with torch.inference_mode():
        out = stock.model.generate(
            **runner.inputs([prompt])[0],
            do_sample=False,
            max_new_tokens=STEPS,
            output_logits=True,
            return_dict_in_generate=True,
        )
    return torch.cat(out.logits)


def difference(checkpoint: Checkpoint, expected: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> float:
    """The largest between logits [steps, rows, vocabulary]; the tokens of generate() are said, whatever comes out."""
    steps: list[torch.Tensor] = []

    def sample(logits: torch.Tensor, _batch: Any) -> torch.Tensor:
        steps.append(logits.clone())
        return expected[len(steps) - 1].argmax(dim=-1)

    monkeypatch.setattr(pending_tokens, "sample", sample)
    answers(SlotEngine(checkpoint, slot_settings(max_batch=len(JOBS)), lambda: None), JOBS)
    return (torch.stack(steps) - expected).abs().max().item()


def test_logits_are_those_of_generate(
    checkpoint: Checkpoint, expected: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert difference(checkpoint, expected, monkeypatch) < BOUND


Property = Callable[[PrefillInputs | DecodeInputs], torch.Tensor]
MUTANTS: dict[str, tuple[type, str, Any]] = {}


def mutant(owner: type, name: str) -> Callable[[Callable[..., Any]], None]:
    """Registers a wrong version of a method or property; it is given the right one first."""

    def register(wrong: Callable[..., Any]) -> None:
        right = vars(owner)[name]
        if isinstance(right, property):
            made: Any = property(lambda self: wrong(right.fget, self))
        else:
            made = staticmethod(lambda *args: wrong(right.__get__(None, owner), *args))
        MUTANTS[wrong.__name__] = (owner, name, made)

    return register


@mutant(PrefillInputs, "image_mask")
def every_token_sees_every_tile(right: Property, inputs: PrefillInputs) -> torch.Tensor:
    return torch.ones_like(right(inputs))


@mutant(PrefillInputs, "image_mask")
def a_tile_too_many_is_seen(right: Property, inputs: PrefillInputs) -> torch.Tensor:
    return (right(inputs) + right(inputs).roll(1, dims=-1)).clamp(max=1)


@mutant(PrefillInputs, "image_mask")
def a_tile_too_few_is_seen(right: Property, inputs: PrefillInputs) -> torch.Tensor:
    return right(inputs) * right(inputs).roll(-1, dims=-1)


@mutant(PrefillInputs, "image_mask")
def the_image_is_seen_before_its_token(right: Property, inputs: PrefillInputs) -> torch.Tensor:
    return right(inputs)[:, -1:].expand_as(right(inputs))


@mutant(PrefillInputs, "image_mask")
def the_image_is_seen_a_token_late(right: Property, inputs: PrefillInputs) -> torch.Tensor:
    return right(inputs) * right(inputs).roll(1, dims=1)


@mutant(PrefillInputs, "text_mask")
def padding_is_seen(right: Property, inputs: PrefillInputs) -> torch.Tensor:
    return torch.ones_like(right(inputs)).tril()


@mutant(PrefillInputs, "text_mask")
def what_comes_is_seen(right: Property, inputs: PrefillInputs) -> torch.Tensor:
    return right(inputs) | inputs.token_mask[:, None, None, :]


@mutant(PrefillInputs, "positions")
def padding_is_counted(_: Property, inputs: PrefillInputs) -> torch.Tensor:
    return torch.arange(inputs.tokens_each).expand(len(inputs.packed), -1)


@mutant(DecodeInputs, "tiles")
def answers_see_tiles_that_are_not_there(right: Property, inputs: DecodeInputs) -> torch.Tensor:
    return torch.full_like(right(inputs), inputs.max_tiles)


@mutant(DecodeInputs, "tiles")
def answers_see_a_tile_too_few(right: Property, inputs: DecodeInputs) -> torch.Tensor:
    return (right(inputs) - 1).clamp(min=1)


@mutant(DecodeInputs, "positions")
def answers_stand_one_token_late(right: Property, inputs: DecodeInputs) -> torch.Tensor:
    return right(inputs) + 1


@mutant(DecodeInputs, "tile_pages")
def answers_see_a_neighbours_image(right: Property, inputs: DecodeInputs) -> torch.Tensor:
    return right(inputs).roll(1, dims=0)


@mutant(Tokens, "of")
def image_padding_sees_padding(right: Callable[..., Tokens], *sizes: Any) -> Tokens:
    tokens = right(*sizes)
    everything = torch.ones_like(tokens.mask)
    return Tokens(everything.nonzero()[:, 0], (~everything).nonzero()[:, 0], everything)


@mutant(Tokens, "of")
def a_tile_too_many_counts_as_image(right: Callable[..., Tokens], tiles: int, max_tiles: int, *rest: Any) -> Tokens:
    return right(min(tiles + 1, max_tiles), max_tiles, *rest)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_mask_breaks_the_bound(
    name: str, checkpoint: Checkpoint, expected: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*MUTANTS[name])
    found = difference(checkpoint, expected, monkeypatch)
    assert found > FACTOR * BOUND
