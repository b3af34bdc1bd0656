"""How each request wants its tokens sampled. Knows no torch."""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.pipeline.engine.slots.token_policy import CheckedAnswer, TokenPolicy
from sightstream.schemas.wire.options import AnalysisOptions

MIN_TEMPERATURE = 1e-5  # below it only the likeliest token has a chance, and logits would overflow


class SamplingState:
    """One request's sampler: greedy at temperature 0, otherwise seeded by the request alone."""

    def __init__(self, options: AnalysisOptions) -> None:
        self.temperature, self.top_p = options.temperature, options.top_p
        self._random = random.Random(secrets.randbits(63) if options.seed is None else options.seed)  # noqa: S311

    @property
    def greedy(self) -> bool:
        return self.temperature < MIN_TEMPERATURE

    def next_uniform(self) -> float:
        """Return a random number from [0, 1) for the next token; it stays below 1 in fp32, too."""
        return self._random.getrandbits(24) / 2**24


@dataclass(frozen=True, slots=True)
class SamplingBatch:
    """The numbers that the rows that are not greedy need for one token each."""

    rows: list[int]
    temperature: list[float]
    top_p: list[float]
    uniform: list[float]

    @classmethod
    def of(cls, states: Sequence[SamplingState]) -> SamplingBatch | None:
        """Return the batch for these rows, in order; None when all are greedy."""
        sampled = [(row, state) for row, state in enumerate(states) if not state.greedy]
        if not sampled:
            return None
        return cls(
            [row for row, _ in sampled],
            [state.temperature for _, state in sampled],
            [state.top_p for _, state in sampled],
            [state.next_uniform() for _, state in sampled],
        )


class SampledToken(NamedTuple):
    """A token, and its log-probability under its row's constraint; 0 where there is none."""

    token: int
    logprob: float = 0.0


@dataclass(frozen=True, slots=True)
class ConstrainedRows:
    """The rows whose next token must obey a constraint; any further `rows` only want its log-probability."""

    rows: list[int]
    constraints: list[TokenConstraint]

    @classmethod
    def of(cls, policies: Sequence[TokenPolicy]) -> ConstrainedRows | None:
        """Return those of these rows; None when there are none."""
        rows = [row for row, policy in enumerate(policies) if policy.constraint is not None]
        rows += [row for row, policy in enumerate(policies) if isinstance(policy, CheckedAnswer)]
        if not rows:
            return None
        return cls(rows, [constraint for policy in policies if (constraint := policy.constraint) is not None])
