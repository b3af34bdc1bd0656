"""Checks that a row's token depends on its own logits, options and seed alone."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.slots.engine import SlotEngine
from sightstream.pipeline.engine.slots.sampler import sample, sample_nucleus
from sightstream.pipeline.engine.slots.sampling import SamplingBatch, SamplingState
from sightstream.schemas.wire.options import AnalysisOptions
from tests.pipeline.engine.slots.asking import answers, image_of_tiles, job, slot_settings

pytestmark = pytest.mark.slow

TINY = (1e-300, 1e-46, 1e-39, 1e-20, 1e-6)  # all of them valid in a request; some are no numbers in fp32


ROUNDING = 3e-6  # of sums of chances in fp32


def oracle(logits: np.ndarray, temperature: float, top_p: float, chance: float) -> set[int]:
    """Every token that nucleus sampling may give: one, in doubles, or its neighbours in rank where rounding decides."""
    scaled = logits.astype(np.float64) / temperature
    chances = np.exp(scaled - scaled.max())
    chances /= chances.sum()
    order = np.argsort(-chances, kind="stable")
    after = np.cumsum(chances[order])
    before = after - chances[order]
    found: set[int] = set()
    for wobble in (-ROUNDING, 0, ROUNDING):
        size = max(1, int((before < top_p + wobble).sum()))
        target = chance * after[size - 1]
        first, last = np.searchsorted(after[:size], [target - ROUNDING, target + ROUNDING], side="right")
        found |= set(order[first : min(last, size - 1) + 1].tolist())
    return found


def batch_of(*rows: tuple[float, float, float]) -> SamplingBatch:
    """Of (temperature, top_p, chance) for each row."""
    temperature, top_p, chance = zip(*rows, strict=True)
    return SamplingBatch(list(range(len(rows))), list(temperature), list(top_p), list(chance))


ways = st.tuples(st.floats(0.05, 2), st.floats(0.01, 1), st.floats(0, 1 - 2**-24, width=32))
seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=200)
@given(seeds, st.integers(1, 40), st.lists(ways, min_size=1, max_size=4))
def test_nucleus_sampling(seed: int, vocabulary: int, rows: list[tuple[float, float, float]]) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (len(rows), vocabulary)).astype(np.float32)
    tokens = sample_nucleus(torch.from_numpy(logits), batch_of(*rows)).tolist()
    for line, way, token in zip(logits, rows, tokens, strict=True):
        assert token in oracle(line, *way)


@settings(deadline=None, max_examples=50)
@given(seeds, st.lists(ways, min_size=2, max_size=6), st.data())
def test_a_row_knows_nothing_of_its_neighbours(
    seed: int, rows: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    logits = torch.randn(len(rows), 50, generator=torch.Generator().manual_seed(seed)) * 3
    chosen = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    sampled = [row for row, yes in enumerate(chosen) if yes]
    together = sample(logits, _for(sampled, rows) if sampled else None)
    for row in range(len(rows)):
        alone = sample(logits[row : row + 1], batch_of(rows[row]) if chosen[row] else None)
        assert together[row] == alone[0]


def _for(numbers: list[int], rows: list[tuple[float, float, float]]) -> SamplingBatch:
    these = batch_of(*(rows[row] for row in numbers))
    return SamplingBatch(numbers, these.temperature, these.top_p, these.uniform)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 0.9), (1.7, 0.5)])
def test_tokens_come_as_often_as_they_are_likely(temperature: float, top_p: float) -> None:
    times, logits = 20_000, torch.tensor([2.0, -1.0, 0.5, 1.5, -3.0, 1.0, 0.0])
    options = AnalysisOptions(temperature=temperature, top_p=top_p, seed=11)
    state = SamplingState(options)
    found = sample_nucleus(
        logits.expand(times, -1), batch_of(*((temperature, top_p, state.next_uniform()) for _ in range(times)))
    )
    chances = (logits / temperature).softmax(-1)
    ranked, order = chances.sort(descending=True)
    chances[order[ranked.cumsum(-1) - ranked >= top_p]] = 0
    likely = (chances / chances.sum()).double().numpy()
    counts = found.bincount(minlength=len(logits)).double().numpy()
    assert counts[likely == 0].sum() == 0
    there = likely > 0
    assert chisquare(counts[there], times * likely[there] / likely[there].sum()).pvalue > 0.001


@pytest.mark.parametrize("value", TINY)
@pytest.mark.parametrize("name", ["temperature", "top_p"])
def test_next_to_no_chance_is_greedy(name: str, value: float) -> None:
    options = AnalysisOptions.model_validate({"temperature": 1.0, "seed": 3} | {name: value})
    logits = torch.randn(4, 300, generator=torch.Generator().manual_seed(1)) * 5
    for _ in range(20):
        tokens = sample(logits, SamplingBatch.of([SamplingState(options) for _ in range(4)]))
        assert tokens.tolist() == logits.argmax(dim=-1).tolist()


def test_the_greatest_chance_gives_no_token_that_has_none() -> None:
    """In fp32 the chances of a long tail may add up to less than 1: then its last token is in the nucleus, too."""

    class Highest(Random):
        def random(self) -> float:
            return float(1 - 2**-53)

        def getrandbits(self, k: int, /) -> int:
            return int(2**k - 1)

    state = SamplingState(AnalysisOptions(temperature=1.0, seed=1))
    state._random = Highest()
    for seed in range(20):
        logits = torch.randn(1, 5000, generator=torch.Generator().manual_seed(seed))
        logits[:, 2500:] -= 200
        batch = SamplingBatch.of([state])
        assert batch is not None
        assert logits[0, sample_nucleus(logits, batch)] > -100


def test_broken_logits_of_one_row_end_nobody_else() -> None:
    logits = torch.randn(2, 9, generator=torch.Generator().manual_seed(1))
    good = sample_nucleus(logits, batch_of((1.0, 0.9, 0.3), (1.0, 0.9, 0.3)))[1]
    logits[0] = torch.nan
    assert sample_nucleus(logits, batch_of((1.0, 0.9, 0.3), (1.0, 0.9, 0.3)))[1] == good


# --- on the model ---------------------------------------------------------------------------------------------------

WARM: dict[str, Any] = {"temperature": 2.0, "max_tokens": 40}


def test_a_seeds_answer_is_the_same_in_any_company(checkpoint: Checkpoint) -> None:
    engine = SlotEngine(checkpoint, slot_settings(max_batch=3), lambda: None)
    alone = answers(engine, [job(1, seed=5, **WARM)])[1]
    company = [job(number, image_of_tiles(number), "How many?" * number, seed=number, **WARM) for number in range(2, 7)]
    for position in (0, 3, 5):
        jobs = [*company[:position], job(1, seed=5, **WARM), *company[position:]]
        assert answers(engine, jobs, [position % 4] * len(jobs))[1] == alone


def test_seeds_differ_and_so_do_answers_without_one(checkpoint: Checkpoint) -> None:
    engine = SlotEngine(checkpoint, slot_settings(max_batch=8), lambda: None)
    asked = [job(number, image_of_tiles(1), seed=number if number < 4 else None, **WARM) for number in range(8)]
    found = answers(engine, asked)
    assert len({found[number].text for number in range(4)}) == 4
    assert len({found[number].text for number in range(4, 8)}) > 1  # two may agree by chance, all hardly


def test_next_to_no_chance_answers_as_none(checkpoint: Checkpoint) -> None:
    engine = SlotEngine(checkpoint, slot_settings(max_batch=8), lambda: None)
    greedy = answers(engine, [job(1)])[1]
    asked = [job(number, image_of_tiles(1), temperature=1.0, top_p=top_p) for number, top_p in enumerate(TINY)]
    asked += [job(number, image_of_tiles(1), temperature=cold) for number, cold in enumerate(TINY, start=10)]
    assert all(answer == greedy for answer in answers(engine, asked).values())
