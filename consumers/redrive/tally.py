"""Counts what a reading of the dead letters found, and what a run did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sightstream.consumers.redrive.decision import Decision


@dataclass(slots=True)
class Reading:
    """What was read. `foreign` are records that no worker wrote; `letters` are all dead letters, selected or not.

    `without_record` counts offsets that hold nothing for a reader, transaction markers and records of aborted
    transactions; it is known only once everything is read.
    """

    letters: int = 0
    foreign: int = 0
    foreign_markers: int = 0
    without_record: int = 0

    @property
    def records(self) -> int:
        return self.letters + self.foreign


@dataclass(slots=True)
class Tally:
    """What a run did: for each decision, how many letters of each reason."""

    reading: Reading = field(default_factory=Reading)
    decisions: dict[Decision, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in Decision})
    limit_reached: bool = False
    stopped: bool = False

    def add(self, decision: Decision, reason: str) -> None:
        self.decisions[decision][reason] += 1

    def count(self, decision: Decision) -> int:
        return self.decisions[decision].total()
