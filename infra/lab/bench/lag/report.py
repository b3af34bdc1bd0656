"""Presents the measurement as a table for people and as JSON for programs, with its bars."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from sightstream.infra.lab.bench.lag.run import Measurement

SCHEMA_VERSION = 1
METHOD = (
    "Held: publisher and workers are stopped (SIGSTOP) at each point, and every record on the topics is read; a group "
    "of workers with finished offsets beyond the committed one, and a reader of transactional results. Estimates are "
    "compared by group. Scraped: processor time of the exporter's process, which reads every 10 s, from the first "
    "scrape to the last. Many: the offsets are asked for once; every age is changed, and read until all are right."
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line; a bar that is not met makes the command fail."""

    name: str
    value: float
    unit: str
    most: float | None = None

    @property
    def is_met(self) -> bool:
        return self.most is None or self.value <= self.most


def figures(found: Measurement) -> Iterator[Figure]:
    """Yield every line of the table."""
    yield from _held(found)
    if (scraped := found.scraped) is not None:
        yield Figure("partitions scraped", scraped.partitions, "")
        yield Figure("processor time, scraped", scraped.percent_of_a_core, "% of a core", 1)
    if (many := found.many) is not None:
        yield Figure("very many partitions", many.partitions, "")
        yield Figure("their offsets", many.offsets_s, "s", 5)
        yield Figure("until all ages are right", many.ages_s, "s", 60)
        yield Figure("processor time meanwhile", many.cpu_percent, "% of a core")


def _held(found: Measurement) -> Iterator[Figure]:
    counted = [one for one in found.held if not one.estimated]
    estimated = [one for one in found.held if one.estimated]
    if found.held:
        yield Figure("comparisons with exact lag", len(counted), "")
        yield Figure("largest lag that was counted", max((one.truth for one in counted), default=0), "records")
        yield Figure("largest error when counted", max((one.error for one in counted), default=0), "records", 1)
        yield Figure("comparisons with estimates", len(estimated), "")
        errors = [100 * one.error / max(one.truth, 1) for one in estimated]
        yield Figure("largest error of an estimate", max(errors, default=0.0), "%", 1)
        yield Figure("largest error of an age", max(one.age_error_s for one in found.held), "s", 1)


def missed(found: Measurement) -> list[str]:
    """Return the bars that this run missed, none when it met all."""
    return [f"{one.name}: {one.value:.2f} {one.unit}, not <= {one.most}" for one in figures(found) if not one.is_met]


def document(found: Measurement) -> dict[str, Any]:
    """Return the measurement as a JSON-serializable document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "method": METHOD,
        "figures": {one.name: one.value for one in figures(found)},
        **asdict(found),
        "missed": missed(found),
    }


def as_table(found: Measurement) -> Table:
    """Return a table with one line per figure."""
    table = Table("", "", "", "bar", title=f"{os.cpu_count()} cores")
    for one in figures(found):
        bar = "" if one.most is None else f"<= {one.most:g}{'' if one.is_met else '  MISSED'}"
        table.add_row(one.name, f"{one.value:.2f}", one.unit, bar)
    return table
