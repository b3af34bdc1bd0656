"""Calculates rates from the moments at which answers ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """One answer. `at` is a clock's seconds; `steps` is how many decoding steps the engine had made by then."""

    at: float
    tokens: int
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of the answers that ended after `start` and not after `end`."""

    start: float
    end: float
    answers: int
    tokens: int
    steps: int

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def answers_per_s(self) -> float:
        return self.answers / self.seconds

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds

    @property
    def steps_per_s(self) -> float:
        return self.steps / self.seconds


def steady_rates(ended: Sequence[Ended], warm: int, wanted: int) -> Rates | None:
    """The window opens as the `warm`-th answer ends and closes as the `wanted`-th after it does, or the last there is.

    `ended` is in order of time. Answers that ended at the very moment of opening are before the window, those at the
    moment of closing are in it: batches are counted whole. None when nothing ended within.
    """
    if warm < 1 or len(ended) < warm:
        return None
    opening = ended[warm - 1].at
    first = next((index for index, one in enumerate(ended) if one.at > opening), None)
    if first is None:
        return None
    closing = ended[min(first + wanted, len(ended)) - 1].at
    inside = [one for one in ended[first:] if one.at <= closing]
    tokens = sum(one.tokens for one in inside)
    return Rates(opening, closing, len(inside), tokens, inside[-1].steps - ended[first - 1].steps)
