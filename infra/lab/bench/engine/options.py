"""What the caller asked for; travels to the processes that measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.parts import PARTS
from sightstream.pipeline.engine.settings import EngineSettings

Model = Literal["auto", "checkpoint", "demo", "random-11b", "random-small"]

DEFAULT_BUDGET_S = 180.0


@dataclass(frozen=True, slots=True)
class Budgets:
    """Seconds for each part, set-up not counted."""

    usual_s: float = DEFAULT_BUDGET_S
    by_part: Mapping[str, float] = field(default_factory=dict)

    def of(self, part: str) -> float:
        return self.by_part.get(part, self.usual_s)


def read_budgets(text: str) -> Budgets:
    """ "120" or "120,slots=200,seed=60". Raises CommandError."""
    usual, by_part = DEFAULT_BUDGET_S, {}
    for entry in text.split(","):
        name, _, seconds = entry.strip().rpartition("=")
        try:
            number = float(seconds)
        except ValueError:
            raise CommandError(f"the budget {entry!r} is not a number of seconds, nor PART=SECONDS") from None
        if name and name not in {part.name for part in PARTS}:
            raise CommandError(f"no part is called {name!r}; known: {[part.name for part in PARTS]}")
        if name:
            by_part[name] = number
        else:
            usual = number
    return Budgets(usual, by_part)


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """`settings.kind` is the engine that is measured. Picklable."""

    settings: EngineSettings
    model: Model = "auto"
    sizes: Mapping[str, str] = field(default_factory=dict)
    budgets: Budgets = field(default_factory=Budgets)


@dataclass(frozen=True, slots=True)
class Allowance:
    """A part's time. A part that is through it brings home what it has."""

    until: float
    clock: Callable[[], float]

    @property
    def left_s(self) -> float:
        return self.until - self.clock()

    @property
    def over(self) -> bool:
        return self.left_s <= 0
