"""Presents a run as a table for people and as JSON for programs, with its bars."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.table import Table

from sightstream.infra.lab.bench.system.run import SystemRun

SCHEMA_VERSION = 1
METHOD = {
    "images/s": "results that a read_committed reader saw, from the end of the warm-up until fewer requests are left "
    "than the engines keep in hand, divided by the seconds between",
    "engine alone": "the same engine in a process of its own, over the same images and answers, decoded by the same "
    "decoder and always with enough in hand, before the workers start; times the number of workers",
    "at work": "share of that time in which a look, a prefill or a step ran on the device: CUDA events around each on "
    "its stream, host time on a CPU; requests wait on the topic all the time",
    "CPU": "processor time of the workers' processes in that time, divided by its images; broker and store beside it",
    "stages": "means of the seconds that results carry; waiting is included",
    "memory": "host: pages of the workers' processes, shared ones divided among them; card: what the driver says",
    "time to empty": "estimates of `sightstream lag` from a minute after the first result on, against the time at which"
    " the last result came",
    "computed again": "images that the engines looked at (or got, where they don't tell), less those asked about",
}


def void(run: SystemRun) -> list[str]:
    """Return why the figures would mean nothing; none for a run that counts."""
    return [f"{count} hits: {name}" for name, count in run.hits.items() if count]


def broken(run: SystemRun) -> list[str]:
    """Return what was promised and not kept."""
    found, outcomes = [], run.outcomes
    if outcomes is None:
        return ["the topics were not judged"]
    if not outcomes.is_exactly_once:
        found.append(
            f"not exactly once: {outcomes.lost} lost, {outcomes.twice} twice, {outcomes.unknown} unknown, "
            f"{outcomes.uncommitted} not committed"
        )
    found += [f"{count} dead letters: {reason}" for reason, count in outcomes.dead_letters]
    if run.kill and repeated(run) > run.kill.held:
        found.append(f"{repeated(run)} images were computed twice, {run.kill.held} were in hand at the kill")
    return found


def repeated(run: SystemRun) -> int:
    """Return how many images were computed more than once."""
    return run.computed - run.outcomes.requests if run.outcomes else 0


def document(run: SystemRun) -> dict[str, Any]:
    """Return the run as a JSON-serializable document."""
    options = run.options
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "card": card_name()},
        "model": run.model,
        "options": asdict(options) | {"mix": str(options.mix), "folder": None, "parts": None},
        "images_from": images_from(run),
        "image_bytes": image_bytes(run),
        "method": METHOD,
        "engine_alone": {str(tokens): asdict(alone) for tokens, alone in run.engine.items()},
        "phases": run.figures,
        "hits": run.hits,
        "outcomes": asdict(run.outcomes) if run.outcomes else None,
        "computed": run.computed,
        "repeated": repeated(run),
        "kill": asdict(run.kill) if run.kill else None,
        "void": void(run),
        "broken": broken(run),
    }


def images_from(run: SystemRun) -> str:
    return "S3 (SeaweedFS)" if run.options.parts.has_store else "files, as there is no object store"


def image_bytes(run: SystemRun) -> dict[str, float]:
    sizes = sorted(size for phase in run.phases for size in phase.image_bytes)
    return {"least": sizes[0], "mean": sum(sizes) / len(sizes), "most": sizes[-1]}


def card_name() -> str | None:
    """Return the first card's name, None where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    done = subprocess.run(
        [program, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    return done.stdout.partition("\n")[0] or None


def as_table(run: SystemRun) -> Table:
    """Return a table with a column for each phase."""
    sizes = image_bytes(run)
    title = (
        f"{run.model}, {run.options.workers} worker(s), {card_name() or 'CPU'}, {os.cpu_count()} cores; images of "
        f"{sizes['least'] / 1e3:.0f} to {sizes['most'] / 1e3:.0f} KB, {run.options.mix}, from {images_from(run)}"
    )
    table = Table("", *(f"{each['tokens']} tokens" for each in run.figures), title=title)
    for name, show in _ROWS.items():
        table.add_row(name, *(_shown(show, each) for each in run.figures))
    return table


def lines(run: SystemRun) -> list[str]:
    """Return the judgement, and how each figure was measured."""
    outcomes = run.outcomes
    found = [f"{name}: {method}" for name, method in METHOD.items()]
    found.append("hits: " + ", ".join(f"{name} {count}" for name, count in run.hits.items()))
    if outcomes is not None:
        found.append(
            f"outcomes of {outcomes.requests} requests: {outcomes.lost} lost, {outcomes.twice} twice, "
            f"{outcomes.uncommitted} not committed; {repeated(run)} images computed again"
        )
    if run.kill:
        found.append(
            f"kill: {run.kill.held} requests in hand; the next result came {run.kill.back_after_s:.1f} s later"
        )
    found += [f"VOID: {line}" for line in void(run)]
    return found + [f"BROKEN: {line}" for line in broken(run)]


def _shown(show: Callable[[dict[str, Any]], str], figures: dict[str, Any]) -> str:
    try:
        return show(figures)
    except (TypeError, KeyError):
        return "-"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def _mb(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"


def _memory(figures: dict[str, float]) -> str:
    return f"{_mb(figures['least'])} to {_mb(figures['most'])}, {_mb(figures['per_minute'])} per minute"


_ROWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "images/s": lambda f: f"{f['images_per_s']:.2f} ({f['answers']} in {f['seconds']:.0f} s)",
    "engine alone": lambda f: f"{f['engine_images_per_s']:.2f}",
    "share of the engine": lambda f: f"{f['fraction_of_engine']:.1%}",
    "by half minutes": lambda f: " ".join(f"{rate:.1f}" for rate in f["parts_images_per_s"]) or "-",
    "at work": lambda f: f"{f['work']['fraction']:.1%}",
    "look, prefill with looks, step": lambda f: ", ".join(
        f"{f['work']['fraction_by_kind'][kind]:.0%}" for kind in ("look", "prefill", "step")
    ),
    "longest without work": lambda f: ", ".join(_ms(gap) for gap in f["work"]["longest_gaps_s"][:3]),
    "NVML says busy": lambda f: f"{f['nvml_busy_fraction']:.1%}",
    "CPU per image, own": lambda f: _ms(f["cpu_s_per_image"]["own"]),
    "  worker, engine, decoders": lambda f: ", ".join(
        _ms(f["cpu_s_per_image"][role]) for role in ("worker", "engine", "decoders")
    ),
    "  broker, store": lambda f: ", ".join(_ms(f["cpu_s_per_image"][role]) for role in ("broker", "store")),
    "stages": lambda f: ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in f["stage_s"].items()),
    "transactions": lambda f: f"{f['transactions']['per_s']:.2f}/s of {_ms(f['transactions']['mean_s'])}",
    "in hand": lambda f: f"{f['in_flight']['mean']:.0f} requests, {_mb(f['in_flight_bytes']['most'])} at most",
    "host memory": lambda f: _memory(f["host_memory"]),
    "card memory": lambda f: _memory(f["card_memory"]),
    "time to empty, off by": lambda f: (
        f"{f['time_to_empty_error']['median']:.0%} (median), {f['time_to_empty_error']['worst']:.0%} (worst)"
    ),
}
