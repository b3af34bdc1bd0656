"""Presents the measurement as a table for people and as JSON for programs, with its bars."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.table import Table

from sightstream.infra.lab.bench.neighbours.options import ALONE, FAR, MISSPELT, OUTAGE, TROUBLED
from sightstream.infra.lab.bench.neighbours.run import BASELINE, Measurement, Run

SCHEMA_VERSION = 1
PACED_ALONE, PACED_TROUBLED, PACED_MISSPELT = (f"{case}, paced" for case in (ALONE, TROUBLED, MISSPELT))
# Each bar: the case, what it is compared with, and the least or the most that the ratio may be.
LEAST = {OUTAGE: (ALONE, 0.90), PACED_MISSPELT: (PACED_ALONE, 0.95), FAR: (BASELINE, 0.97)}
MOST_P99 = 3.0
METHOD = "medians of each round's ratio; only honest images count, as a read_committed reader saw them"


def ratios(found: Measurement) -> dict[str, float]:
    """Return, for each bar that was measured, the median over the rounds."""
    pairs = {case: (case, other) for case, (other, _) in LEAST.items()}
    pairs[MISSPELT] = (MISSPELT, ALONE)  # without a bar: in a backlog each of them costs its own processor time
    result = {name: _ratio(found.runs[a], found.runs[b]) for name, (a, b) in pairs.items() if b in found.runs}
    p99s = zip(found.runs[PACED_TROUBLED], found.runs[PACED_ALONE], strict=True)
    return result | {PACED_TROUBLED: median((a.p99_s or 0) / (b.p99_s or 1) for a, b in p99s)}


def _ratio(these: list[Run], others: list[Run]) -> float:
    return median(a.images_per_s / b.images_per_s for a, b in zip(these, others, strict=True))


def missed(found: Measurement) -> list[str]:
    """Return the bars that this run missed, none when it met all."""
    values = ratios(found)
    lines = [
        f"{case}: {values[case]:.0%} of the images/s of `{other}`, less than {least:.0%}"
        for case, (other, least) in LEAST.items()
        if case in values and values[case] < least
    ]
    if values[PACED_TROUBLED] > MOST_P99:
        lines.append(f"{TROUBLED}: {values[PACED_TROUBLED]:.1f} times the p99 alone, more than {MOST_P99:g}")
    return lines


def document(found: Measurement) -> dict[str, Any]:
    """Return the measurement as a JSON-serializable document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
        "options": {name: str(value) if name == "baseline" else value for name, value in asdict(found.options).items()},
        "method": METHOD,
        "rounds": {case: [asdict(run) for run in runs] for case, runs in found.runs.items()},
        "ratios": ratios(found),
        "missed": missed(found),
    }


def as_table(found: Measurement) -> Table:
    """Return a table with one line per case."""
    values = ratios(found)
    table = Table("", "honest images/s", "p99 s", "ratio", title=METHOD)
    for case, runs in found.runs.items():
        rate, p99s = median(run.images_per_s for run in runs), [run.p99_s for run in runs if run.p99_s is not None]
        p99 = f"{median(p99s):.2f}" if p99s else ""
        table.add_row(case, f"{rate:.1f}", p99, f"{values[case]:.2f}" if case in values else "")
    return table
