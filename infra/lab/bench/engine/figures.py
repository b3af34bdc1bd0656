"""Figures with the method of their measurement, part by part, and their form as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any, Literal

SCHEMA_VERSION = 1

Status = Literal["done", "cut short", "failed", "not run"]


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` None: it could not be had, and `method` says why."""

    name: str
    value: float | None
    unit: str
    method: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of a part. `detail` has the numbers behind the figures; `cut_short` says why there are not more."""

    figures: tuple[Figure, ...]
    detail: dict[str, Any] = field(default_factory=dict)
    cut_short: str | None = None


@dataclass(frozen=True, slots=True)
class PartReport:
    """One part's end. `why` says what stopped it; `set_up_s` is what was loaded for it, `seconds` the part itself."""

    part: str
    status: Status
    figures: tuple[Figure, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)
    why: str | None = None
    set_up_s: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True)
class Report:
    """A run. `machine` and `model` are filled in by whoever first knows them."""

    command: dict[str, Any]
    machine: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, PartReport] = field(default_factory=dict)
    derived: tuple[Figure, ...] = ()

    def value(self, part: str, name: str) -> float | None:
        """A figure's value, None when there is none."""
        found = self.parts.get(part)
        return next((figure.value for figure in found.figures if figure.name == name), None) if found else None

    def detail(self, part: str, name: str) -> Any:
        found = self.parts.get(part)
        return found.detail.get(name) if found else None

    @property
    def missing(self) -> list[str]:
        """What a complete run would have, and why it is not there."""
        parts = [
            f"{report.part}: {report.status}: {report.why}" for report in self.parts.values() if report.status != "done"
        ]
        figures = [(report.part, figure) for report in self.parts.values() for figure in report.figures]
        figures += [("derived", figure) for figure in self.derived]
        return parts + [f"{part}.{figure.name}: {figure.method}" for part, figure in figures if figure.value is None]

    @property
    def failed(self) -> bool:
        return any(report.status in ("failed", "not run") for report in self.parts.values())

    def adopt(self, document: dict[str, Any]) -> None:
        """Parts of an earlier report that this one has not measured itself; all of it when this one is empty."""
        if not self.parts:
            self.command = document["command"]
        for name, part in document["parts"].items():
            figures = tuple(Figure(**figure) for figure in part["figures"])
            self.parts.setdefault(name, PartReport(**part | {"figures": figures}))
        self.machine = self.machine or document["machine"]
        self.model = self.model or document["model"]

    def document(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "command": self.command,
            "machine": self.machine,
            "model": self.model,
            "parts": {name: asdict(report) for name, report in self.parts.items()},
            "derived": [asdict(figure) for figure in self.derived],
            "missing": self.missing,
        }


def percentile(samples: Sequence[float], fraction: float) -> float:
    """The smallest sample that `fraction` (0 to 1) of them all do not exceed. Raises ValueError without samples."""
    if not samples:
        raise ValueError("no samples")
    return sorted(samples)[max(0, ceil(fraction * len(samples) - 1e-9) - 1)]
