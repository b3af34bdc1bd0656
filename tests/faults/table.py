"""The soak's table: one row for each kind of fault, counted from the histories."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from tests.faults.checker import repeated_inferences
from tests.faults.history import History

COLUMNS = ("fault", "runs", "published", "results", "dead letters", "duplicates", "lost", "recovery s", "repeated")


@dataclass(frozen=True, slots=True)
class Row:
    """What came of the runs with one fault. `recovery_s` is the longest one, None where none was measured."""

    fault: str
    runs: int
    published: int
    results: int
    dead_letters: int
    duplicates: int
    lost: int
    recovery_s: float | None
    inferences_repeated: int
    void: int = 0
    violations: tuple[str, ...] = ()


def row_of(fault: str, history: History, broken: Sequence[str] = (), void: int = 0) -> Row:
    """Return the row of one run."""
    seen = Counter(outcome.source for outcome in history.outcomes)
    concurrent = Counter(sighting.outcome.source for sighting in history.sightings)
    recoveries = [each.recovery_s for each in history.faults if each.recovery_s is not None]
    return Row(
        fault=fault,
        runs=1,
        published=history.published,
        results=sum(outcome.reason is None for outcome in history.outcomes),
        dead_letters=sum(outcome.reason is not None for outcome in history.outcomes),
        duplicates=sum(count - 1 for count in (seen | concurrent).values()),
        lost=history.published - sum(request.source in seen for request in history.requests),
        recovery_s=max(recoveries, default=None),
        inferences_repeated=repeated_inferences(history),
        void=void,
        violations=tuple(broken),
    )


def render(rows: Iterable[Row]) -> str:
    """Return the rows as a table of Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" + "|---:" * (len(COLUMNS) - 1) + "|"]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(row: Row) -> str:
    recovery = "-" if row.recovery_s is None else f"{row.recovery_s:.1f}"
    counts = (row.runs, row.published, row.results, row.dead_letters, row.duplicates, row.lost)
    numbers = (*(f"{count:,}" for count in counts), recovery, f"{row.inferences_repeated:,}")
    return "| " + " | ".join((row.fault, *numbers)) + " |"


def as_json(seed: int, rows: Iterable[Row]) -> str:
    return json.dumps({"seed": seed, "rows": [asdict(row) for row in rows]}, indent=2)
