"""A comparison as people and programs read it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.table import Table

from sightstream.infra.lab.bench.feed.contestants import OURS, Contestant
from sightstream.infra.lab.bench.feed.run import Comparison
from sightstream.infra.lab.bench.feed.watch import Run

SCHEMA_VERSION = 2
METHOD = {
    "images/s": "results that a read_committed reader saw, from the warm share to the last, over the seconds between; "
    "median of the rounds",
    "ours": "how many times as fast Sightstream was, by the medians of this run",
    "CPU": "processor time of all the contestant's processes in that window over its images, median of the rounds; "
    "and over what Pillow alone takes to open and load the same files, median of all times that it was measured, "
    "before and after each contestant; broker, object store and reader not counted",
    "moved": "bytes through read and write calls (pipes, shared files; of sockets, not what goes through recv or send)",
    "doubles": "results for requests that had one",
}


def as_table(comparison: Comparison) -> Table:
    """A line a contestant."""
    table = Table(
        "", "promise", "images/s", "ours", "CPU ms", "x Pillow", "moved MB", "doubles", title=_title(comparison)
    )
    for contestant in comparison.contestants:
        line = summary(comparison, contestant)
        if line["images_per_s"] is None:
            table.add_row(contestant.name, contestant.promise, "failed")
            continue
        table.add_row(
            contestant.name,
            contestant.promise,
            f"{line['images_per_s']:.1f}",
            "" if line["times_slower_than_ours"] is None else f"{line['times_slower_than_ours']:.2f} x",
            f"{line['cpu_s_per_image'] * 1e3:.2f}",
            f"{line['cpu_over_pillow']:.2f}",
            f"{line['moved_bytes_per_image'] / 1e6:.2f}",
            str(line["doubles"]),
        )
    return table


def method_lines(comparison: Comparison) -> list[str]:
    """How each column came about, the stages of ours, and what failed."""
    lines = [f"{name}: {how}" for name, how in METHOD.items()]
    stages = summary(comparison, OURS)["stage_seconds"] if comparison.runs.get(OURS.name) else {}
    if stages:
        told = ", ".join(f"{stage} {seconds * 1e3:.1f} ms" for stage, seconds in stages.items())
        lines.append(f"sightstream's stages, waiting included: {told}")
    return lines + [f"failed: {failure}" for failure in comparison.failures]


def document(comparison: Comparison) -> dict[str, Any]:
    """As JSON keeps it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "options": asdict(comparison.options),
        "method": METHOD,
        "picture_bytes": comparison.picture_bytes,
        "pillow_cpu_s": comparison.pillow_cpu_s,
        "contestants": {contestant.name: summary(comparison, contestant) for contestant in comparison.contestants},
        "failures": comparison.failures,
    }


def summary(comparison: Comparison, contestant: Contestant) -> dict[str, Any]:
    """Medians over the rounds; None where every round failed."""
    runs = comparison.runs[contestant.name]
    rate = _median(runs, lambda run: run.images_per_s)
    cpu = _median(runs, lambda run: run.cpu_s_per_image)
    ours = _median(comparison.runs.get(OURS.name, []), lambda run: run.images_per_s)
    return {
        "about": contestant.about,
        "promise": contestant.promise,
        "images_per_s": rate,
        "rounds": [run.images_per_s for run in runs],
        "times_slower_than_ours": ours / rate if ours and rate and contestant is not OURS else None,
        "cpu_s_per_image": cpu,
        "cpu_over_pillow": cpu / median(comparison.pillow_cpu_s) if cpu else None,
        "moved_bytes_per_image": _median(runs, lambda run: run.moved_bytes_per_image),
        "doubles": sum(run.doubles for run in runs),
        "stage_seconds": runs[-1].stages if runs else {},
    }


def _median(runs: list[Run], figure: Callable[[Run], float]) -> float | None:
    return median(map(figure, runs)) if runs else None


def _title(comparison: Comparison) -> str:
    side, kilobytes = comparison.options.side, comparison.picture_bytes / 1e3
    return f"{side} x {side} JPEG, {kilobytes:.0f} KB, from S3; {os.cpu_count()} cores"
