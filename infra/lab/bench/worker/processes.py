"""Tells the processes of one worker apart, and what each has used."""

from __future__ import annotations

from pathlib import Path

from sightstream.infra.lab.bench.feed.process_tree import PROC, cpu_seconds_by_pid

WORKER, DECODER, ENGINE = "worker", "decode children", "engine's process"
_MARKS = {b"sightstream.pipeline.decode.child": DECODER, b"sightstream.pipeline.engine.child_main": ENGINE}


def cpu_by_part(worker_pid: int) -> dict[str, float]:
    """Return the processor seconds so far of the worker's own process, of its decode children and of its engine."""
    found = dict.fromkeys((WORKER, DECODER, ENGINE), 0.0)
    for pid, seconds in cpu_seconds_by_pid([worker_pid]).items():
        found[_part(PROC / str(pid))] += seconds
    return found


def _part(process: Path) -> str:
    try:
        command = (process / "cmdline").read_bytes()
    except OSError:
        return WORKER
    return next((part for mark, part in _MARKS.items() if mark in command), WORKER)
