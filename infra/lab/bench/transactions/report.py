"""Presents the comparison as a table for people and as JSON for programs, with its bars."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.table import Table

from sightstream.infra.lab.bench.transactions.options import PLAIN, TRANSACTIONS
from sightstream.infra.lab.bench.transactions.run import Comparison, Run

SCHEMA_VERSION = 1
MIN_RATIO = 0.85
MIN_RESULTS_PER_S = 1000
METHOD = {
    "results/s": "results of a backlog that a read_committed reader saw, from the warm fraction to the last, divided "
    "by the seconds between; median of the rounds",
    "CPU": "processor time of the worker and its children in that window, divided by its results; median of the rounds",
    "p95": "95th percentile of the time from publishing a request to reading its result, at a steady rate; median of "
    "the rounds",
    "ratio": "median of each round's transactions / plain; both sides run in each round, the first of them in turn",
    "plain": "the same worker, which produces with an idempotent producer, waits for the brokers, and commits offsets "
    "without waiting: at least once",
}
_FIGURES: dict[str, Callable[[Run], float]] = {
    "results_per_s": lambda run: run.results_per_s,
    "cpu_s_per_result": lambda run: run.cpu_s_per_result,
    "p95_s": lambda run: run.p95_s,
}


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as a JSON-serializable document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "options": asdict(comparison.options),
        "method": METHOD,
        "sides": {side: _medians(runs) for side, runs in comparison.runs.items()},
        "ratios": {name: _ratio(comparison, figure) for name, figure in _FIGURES.items()},
        "rounds": {side: [asdict(run) for run in runs] for side, runs in comparison.runs.items()},
        "missed": missed(comparison),
    }


def missed(comparison: Comparison) -> list[str]:
    """Return the bars that this run missed, none when it met all."""
    ratio = _ratio(comparison, _FIGURES["results_per_s"])
    rate = _medians(comparison.runs[TRANSACTIONS])["results_per_s"]
    lines = []
    if ratio < MIN_RATIO:
        lines.append(f"{ratio:.0%} of the plain worker's results/s, less than {MIN_RATIO:.0%}")
    if rate < MIN_RESULTS_PER_S:
        lines.append(f"{rate:.0f} results/s, less than {MIN_RESULTS_PER_S}")
    return lines


def as_table(comparison: Comparison) -> Table:
    """Return a table with one line per side and one for the ratios."""
    table = Table("", "results/s", "CPU ms", "p95 ms", title=f"{os.cpu_count()} cores, {len(_runs(comparison))} rounds")
    for side, runs in comparison.runs.items():
        figures = _medians(runs)
        table.add_row(
            side,
            f"{figures['results_per_s']:.0f}",
            f"{figures['cpu_s_per_result'] * 1e3:.2f}",
            f"{figures['p95_s'] * 1e3:.0f}",
        )
    table.add_row("ratio", *(f"{_ratio(comparison, figure):.3f}" for figure in _FIGURES.values()))
    return table


def method_lines(comparison: Comparison) -> list[str]:
    """Return how each column was measured, and which bars were missed."""
    return [f"{name}: {method}" for name, method in METHOD.items()] + [f"missed: {line}" for line in missed(comparison)]


def _medians(runs: list[Run]) -> dict[str, float]:
    return {name: median(map(figure, runs)) for name, figure in _FIGURES.items()}


def _ratio(comparison: Comparison, figure: Callable[[Run], float]) -> float:
    return median(figure(ours) / figure(plain) for ours, plain in _runs(comparison))


def _runs(comparison: Comparison) -> list[tuple[Run, Run]]:
    return list(zip(comparison.runs[TRANSACTIONS], comparison.runs[PLAIN], strict=True))
