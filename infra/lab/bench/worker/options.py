"""The options of the measurement, and how long each simulated answer lasts."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """`singles` images one after the other, each answered in `single_s`; then a backlog for an engine of `slots`.

    An answer of the backlog lasts `answer_s` on average, between half of it and half more. The backlog counts for
    `seconds` from the moment at which the slots have been used one and a half times. Images are JPEGs of `side_px`.
    """

    singles: int = 40
    single_s: float = 0.05
    slots: int = 194
    answer_s: float = 10
    seconds: float = 60
    distinct: int = 100
    side_px: int = 1120
    partitions: int = 8
    timeout_s: float = 180

    @property
    def warm(self) -> int:
        return round(1.5 * self.slots)

    @property
    def backlog(self) -> int:
        """How many requests keep all slots busy to the end: those that end by then, and three more for each slot."""
        return self.warm + round(self.slots * self.seconds / self.answer_s) + 3 * self.slots

    def seconds_of(self, number: int) -> float:
        """How long the answer of a request lasts; the same for the same number."""
        return round(self.answer_s * random.Random(number).uniform(0.5, 1.5), 3)  # noqa: S311 - a duration
