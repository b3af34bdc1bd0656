"""Presents a comparison as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.table import Table

from sightstream.infra.lab.bench.feed.measurement import Run
from sightstream.infra.lab.bench.feed.run import Comparison
from sightstream.infra.lab.bench.feed.systems import OURS, SystemUnderTest

SCHEMA_VERSION = 3
METHOD = {
    "images/s": "results that a read_committed reader saw, from the warm fraction to the last, divided by the seconds "
    "between; median of the rounds",
    "ours": "how many times as fast Sightstream was, by the medians of this run",
    "CPU": "processor time of all processes of the system in that window, divided by its images, median of the rounds; "
    "also divided by what Pillow alone needs to open and load the same files, median of all its measurements before "
    "and after each run; broker, object store and reader are not counted",
    "moved": "bytes through read and write calls (pipes, shared files; not socket bytes that go through recv or send)",
    "duplicates": "results for requests that already had one",
}


def as_table(comparison: Comparison) -> Table:
    """Return a table with one line per system."""
    table = Table(
        "", "guarantee", "images/s", "ours", "CPU ms", "x Pillow", "moved MB", "duplicates", title=_title(comparison)
    )
    for system in comparison.systems:
        line = summary(comparison, system)
        if line["images_per_s"] is None:
            table.add_row(system.name, system.guarantee, "failed")
            continue
        table.add_row(
            system.name,
            system.guarantee,
            f"{line['images_per_s']:.1f}",
            "" if line["times_slower_than_ours"] is None else f"{line['times_slower_than_ours']:.2f} x",
            f"{line['cpu_s_per_image'] * 1e3:.2f}",
            f"{line['cpu_over_pillow']:.2f}",
            f"{line['moved_bytes_per_image'] / 1e6:.2f}",
            str(line["duplicates"]),
        )
    return table


def method_lines(comparison: Comparison) -> list[str]:
    """Return how each column was measured, the stages of our own worker, and which systems failed."""
    lines = [f"{name}: {method}" for name, method in METHOD.items()]
    stages = summary(comparison, OURS)["stage_seconds"] if comparison.runs.get(OURS.name) else {}
    if stages:
        means = ", ".join(f"{stage} {seconds * 1e3:.1f} ms" for stage, seconds in stages.items())
        lines.append(f"sightstream's stages, including waiting: {means}")
    return lines + [f"failed: {failure}" for failure in comparison.failures]


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as a JSON-serializable document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "options": asdict(comparison.options),
        "method": METHOD,
        "photograph_bytes": comparison.photograph_bytes,
        "pillow_cpu_s": comparison.pillow_cpu_s,
        "systems": {system.name: summary(comparison, system) for system in comparison.systems},
        "failures": comparison.failures,
    }


def summary(comparison: Comparison, system: SystemUnderTest) -> dict[str, Any]:
    """Return medians over the rounds; None where every round failed."""
    runs = comparison.runs[system.name]
    rate = _median(runs, lambda run: run.images_per_s)
    cpu_s = _median(runs, lambda run: run.cpu_s_per_image)
    ours = _median(comparison.runs.get(OURS.name, []), lambda run: run.images_per_s)
    return {
        "about": system.about,
        "guarantee": system.guarantee,
        "images_per_s": rate,
        "rounds": [run.images_per_s for run in runs],
        "times_slower_than_ours": ours / rate if ours and rate and system is not OURS else None,
        "cpu_s_per_image": cpu_s,
        "cpu_over_pillow": cpu_s / median(comparison.pillow_cpu_s) if cpu_s else None,
        "moved_bytes_per_image": _median(runs, lambda run: run.moved_bytes_per_image),
        "duplicates": sum(run.duplicates for run in runs),
        "stage_seconds": runs[-1].stages if runs else {},
    }


def _median(runs: list[Run], figure: Callable[[Run], float]) -> float | None:
    return median(map(figure, runs)) if runs else None


def _title(comparison: Comparison) -> str:
    side_px, kilobytes = comparison.options.side_px, comparison.photograph_bytes / 1e3
    return f"{side_px} x {side_px} JPEG, {kilobytes:.0f} KB, from S3; {os.cpu_count()} cores"
