"""Presents the costs as a table for people and as JSON for programs, with their bars."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from sightstream.infra.lab.bench.observability.run import MOST_US, Cost

SCHEMA_VERSION = 1
METHOD = (
    "Processor time of this process, all threads, for a request: parsed, sent through a flow whose fetch, decoding and "
    "engine cost nothing, ended, and committed to nothing. Each pair runs the same requests without and with the part, "
    "the first of them in turn; the figure is the median of the differences. Spans go to a receiver in another process."
)


def document(found: Sequence[Cost]) -> dict[str, Any]:
    """Return the costs as a JSON-serializable document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
        "method": METHOD,
        "figures": [asdict(cost) | {"most_us": MOST_US[cost.name], "is_met": cost.is_met} for cost in found],
    }


def as_table(found: Sequence[Cost]) -> Table:
    table = Table("", "us of CPU for a request", "quartiles", "without it", "bar", caption=METHOD)
    for cost in found:
        bar = f"<= {MOST_US[cost.name]:.0f}" + ("" if cost.is_met else "  missed")
        quartiles = f"{cost.low_us:.1f} to {cost.high_us:.1f}"
        table.add_row(cost.name, f"{cost.median_us:.1f}", quartiles, f"{cost.without_us:.0f}", bar)
    return table
