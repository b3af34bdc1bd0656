"""Logits to tokens, row by row: what a row gets never depends on the rows beside it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sightstream.pipeline.engine.slots.transfer import copy_numbers
from sightstream.schemas.wire.request import AnalysisOptions

MIN_TEMPERATURE = 1e-5  # below, nothing but the likeliest token has a chance, and logits overflow


ROWS_AT_ONCE = 32  # sorting a vocabulary takes some 5 MB a row


class Sampler:
    """One request's way of choosing: greedy at temperature 0, else by chance that its seed alone decides."""

    def __init__(self, options: AnalysisOptions) -> None:
        self.temperature, self.top_p = options.temperature, options.top_p
        self._chance = random.Random(secrets.randbits(63) if options.seed is None else options.seed)  # noqa: S311

    @property
    def greedy(self) -> bool:
        return self.temperature < MIN_TEMPERATURE

    def draw(self) -> float:
        """From [0, 1), for the next token; in fp32, too, it is below 1."""
        return self._chance.getrandbits(24) / 2**24


@dataclass(frozen=True, slots=True)
class SamplingBatch:
    """What the rows that are not greedy need for one token each."""

    rows: list[int]
    temperature: list[float]
    top_p: list[float]
    chance: list[float]

    @classmethod
    def of(cls, samplers: Sequence[Sampler]) -> SamplingBatch | None:
        """None: all are greedy."""
        found = [(row, sampler) for row, sampler in enumerate(samplers) if not sampler.greedy]
        if not found:
            return None
        return cls(
            [row for row, _ in found],
            [sampler.temperature for _, sampler in found],
            [sampler.top_p for _, sampler in found],
            [sampler.draw() for _, sampler in found],
        )


def sample(logits: torch.Tensor, draws: SamplingBatch | None) -> torch.Tensor:
    """A token [rows] for each row of `logits` [rows, vocabulary]."""
    tokens = logits.argmax(dim=-1)
    if draws is not None:
        rows = copy_numbers(draws.rows, logits.device)
        tokens[rows] = sample_nucleus(logits[rows], draws)
    return tokens


def sample_nucleus(logits: torch.Tensor, draws: SamplingBatch) -> torch.Tensor:
    """Nucleus sampling (Holtzman et al. 2020) by inverting the distribution function at `draws.chance`."""
    columns = (
        copy_numbers(numbers, logits.device)[:, None] for numbers in (draws.temperature, draws.top_p, draws.chance)
    )
    parts = zip(*(part.split(ROWS_AT_ONCE) for part in (logits, *columns)), strict=True)
    return torch.cat([_invert_cdf(*part) for part in parts])


def _invert_cdf(
    logits: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor, chance: torch.Tensor
) -> torch.Tensor:
    chances, order = torch.softmax(logits.float() / temperature, dim=-1).sort(descending=True, stable=True)
    total = chances.cumsum(dim=-1)
    in_nucleus = total - chances < top_p
    total = total * in_nucleus
    mass = total.amax(dim=-1, keepdim=True)
    place = ((total <= chance * mass) & in_nucleus).sum(dim=-1, keepdim=True)
    last = (in_nucleus.sum(dim=-1, keepdim=True) - 1).clamp(min=0)  # the first is in it, even if top_p rounds to 0
    return order.gather(1, place.clamp(max=last))[:, 0]
