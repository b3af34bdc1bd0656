"""Presents the measurement as a table for people and as JSON for programs, with its bars."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from rich.table import Table

from sightstream.infra.lab.bench.worker.run import Measurement

SCHEMA_VERSION = 1
MOST_LATENCY_MS = 150
LEAST_SLOT_TIME_PERCENT = 97
MOST_CPU_MS = 35
METHOD = (
    "An image alone: from publish() on an idle worker to the committed result at a read_committed reader, images from "
    "S3. The backlog: the seconds of the answers that became visible, divided by the seconds that all slots had; "
    "processor time of the worker and all its children, divided by these answers."
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line; a bar that is not met makes the command fail."""

    name: str
    value: float
    unit: str
    bar: str = ""
    is_met: bool = True


def figures(found: Measurement) -> Iterator[Figure]:
    """Yield every line of the table."""
    latencies, backlog = [seconds * 1e3 for seconds in found.latencies_s], found.backlog
    p95, used = quantiles(latencies, n=20)[-1], 100 * backlog.slot_time_used
    cpu = {part: seconds * 1e3 for part, seconds in backlog.cpu_s_per_image.items()}
    yield Figure("an image alone, median", median(latencies), "ms")
    yield Figure("an image alone, p95", p95, "ms", f"<= {MOST_LATENCY_MS}", p95 <= MOST_LATENCY_MS)
    bar = f">= {LEAST_SLOT_TIME_PERCENT}"
    yield Figure("slot time used", used, "%", bar, used >= LEAST_SLOT_TIME_PERCENT)
    yield Figure("images/s", backlog.images_per_s, "")
    for part, milliseconds in cpu.items():
        yield Figure(f"CPU of an image, {part}", milliseconds, "ms")
    total = sum(cpu.values())
    yield Figure("CPU of an image, all", total, "ms", f"<= {MOST_CPU_MS}", total <= MOST_CPU_MS)


def missed(found: Measurement) -> list[str]:
    """Return the bars that this run missed, none when it met all."""
    return [f"{one.name}: {one.value:.1f} {one.unit}, not {one.bar}" for one in figures(found) if not one.is_met]


def document(found: Measurement) -> dict[str, Any]:
    """Return the measurement as a JSON-serializable document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
        "options": asdict(found.options),
        "method": METHOD,
        "figures": [asdict(one) for one in figures(found)],
        "latencies_s": found.latencies_s,
        "missed": missed(found),
    }


def as_table(found: Measurement) -> Table:
    table = Table("", "figure", "bar", title=f"{os.cpu_count()} cores", caption=METHOD)
    for one in figures(found):
        table.add_row(one.name, f"{one.value:.1f} {one.unit}", one.bar + ("" if one.is_met else "  missed"))
    return table
