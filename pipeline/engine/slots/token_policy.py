"""Decides token by token how an answer goes on and when it ends. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from sightstream.pipeline.constraints.repetition import RepetitionGuard
from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.schemas.wire.question_answer import EndOfAnswer

NewGuard = Callable[[], RepetitionGuard | None]


def no_guard() -> None:
    """Return no guard: the answer may repeat itself up to its token limit."""


class TokenPolicy(Protocol):
    """Decides token by token how an answer goes on and when it ends.

    `tokens` is the answer so far, without an end token. `num_tokens` counts against the request's max_tokens and
    includes an end token that ended the answer. `finish_reason` is None until the answer has ended. The next token must
    obey `constraint`, where there is one.
    """

    @property
    def tokens(self) -> list[int]: ...

    @property
    def finish_reason(self) -> EndOfAnswer | None: ...

    @property
    def num_tokens(self) -> int: ...

    @property
    def constraint(self) -> TokenConstraint | None: ...

    def accept(self, sampled: int, logprob: float = 0.0) -> int:
        """Append a token, the sampled one or a forced one, and return it. Undefined once `finish_reason` is set.

        `logprob` is the sampled token's log-probability under the constraint, at temperature 1.
        """
        ...


class FreeAnswer:
    """Accepts every sampled token up to an end token ("stop") or `max_tokens` ("length"), as generate() does.

    With a guard it also ends when it repeats itself ("repetition").
    """

    constraint: TokenConstraint | None = None

    def __init__(self, ends: frozenset[int], max_tokens: int, new_guard: NewGuard = no_guard) -> None:
        self.tokens: list[int] = []
        self.finish_reason: EndOfAnswer | None = None
        self.num_tokens = 0
        self._ends, self._max_tokens, self._guard = ends, max_tokens, new_guard()

    def accept(self, sampled: int, logprob: float = 0.0) -> int:
        self.num_tokens += 1
        if sampled in self._ends:
            self.finish_reason = "stop"
            return sampled
        self.tokens.append(sampled)
        if self._guard is not None and self._guard.accept(sampled):
            self.finish_reason = "repetition"
        elif self.num_tokens >= self._max_tokens:
            self.finish_reason = "length"
        return sampled


class CheckedAnswer(FreeAnswer):
    """A free answer that knows whether the model computed numbers: log-probabilities of anything else are none."""

    is_finite = True

    def accept(self, sampled: int, logprob: float = 0.0) -> int:
        self.is_finite = self.is_finite and math.isfinite(logprob)
        return super().accept(sampled, logprob)
