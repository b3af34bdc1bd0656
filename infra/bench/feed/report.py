"""A comparison as people and programs read it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.table import Table

from infra.bench.feed.contestants import OURS, Contestant
from infra.bench.feed.run import Comparison, Part

SCHEMA_VERSION = 1
METHOD = {
    "images/s": "results that a read_committed reader saw, from the warm share to the last, over the seconds between; "
    "median of the rounds",
    "ours": "how many times as fast Sightstream was, by the medians of this run",
    "CPU": "processor time of all the contestant's processes in that window over its images, and over what Pillow "
    "alone takes to open and load the same files, just before and after; broker, object store and reader not counted",
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
    stages = summary(comparison, OURS)["stage_seconds"] if comparison.parts.get(OURS.name) else {}
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
        "contestants": {contestant.name: summary(comparison, contestant) for contestant in comparison.contestants},
        "failures": comparison.failures,
    }


def summary(comparison: Comparison, contestant: Contestant) -> dict[str, Any]:
    """Medians over the rounds; None where every round failed."""
    parts = comparison.parts[contestant.name]
    rate = _median(parts, lambda part: part.run.images_per_s)
    ours = _median(comparison.parts.get(OURS.name, []), lambda part: part.run.images_per_s)
    return {
        "about": contestant.about,
        "promise": contestant.promise,
        "images_per_s": rate,
        "rounds": [part.run.images_per_s for part in parts],
        "times_slower_than_ours": ours / rate if ours and rate and contestant is not OURS else None,
        "cpu_s_per_image": _median(parts, lambda part: part.run.cpu_s_per_image),
        "pillow_cpu_s": _median(parts, lambda part: part.pillow_cpu_s),
        "cpu_over_pillow": _median(parts, lambda part: part.run.cpu_s_per_image / part.pillow_cpu_s),
        "moved_bytes_per_image": _median(parts, lambda part: part.run.moved_bytes_per_image),
        "doubles": sum(part.run.doubles for part in parts),
        "stage_seconds": parts[-1].run.stages if parts else {},
    }


def _median(parts: list[Part], figure: Callable[[Part], float]) -> float | None:
    return median(map(figure, parts)) if parts else None


def _title(comparison: Comparison) -> str:
    side, kilobytes = comparison.options.side, comparison.picture_bytes / 1e3
    return f"{side} x {side} JPEG, {kilobytes:.0f} KB, from S3; {os.cpu_count()} cores"
