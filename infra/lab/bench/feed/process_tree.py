"""Counts what a process and all its descendants have used so far, from Linux's /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_PARENT, _TIMES = 1, slice(11, 15)  # of the fields after the name: ppid; utime, stime, cutime, cstime


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources that a process tree has used.

    `cpu_s` counts user and system seconds, including those of descendants that have ended. `moved_bytes` counts the
    bytes of read and write calls, including pipes and shared files, but not sockets that are read through recv.
    """

    cpu_s: float
    moved_bytes: int
    processes: int


def usage(roots: Iterable[int]) -> Usage:
    """Return the sum over the trees under `roots`; processes that end meanwhile are left out."""
    found = cpu_seconds_by_pid(roots)
    return Usage(sum(found.values()), sum(_moved(PROC / str(pid)) for pid in found), len(found))


def cpu_seconds_by_pid(roots: Iterable[int]) -> dict[int, float]:
    """Return what each process of the trees has used, with its descendants that have ended."""
    stats = {int(entry.name): found for entry in PROC.iterdir() if entry.name.isdigit() and (found := _stat(entry))}
    members = _trees(set(roots), {pid: int(fields[_PARENT]) for pid, fields in stats.items()})
    return {pid: sum(map(int, stats[pid][_TIMES])) / os.sysconf("SC_CLK_TCK") for pid in members}


def _trees(roots: set[int], parents: dict[int, int]) -> set[int]:
    found = roots & parents.keys()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _stat(entry: Path) -> list[str] | None:
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _moved(entry: Path) -> int:
    try:
        lines = dict(line.split(": ") for line in (entry / "io").read_text().splitlines())
    except OSError:
        return 0
    return int(lines["rchar"]) + int(lines["wchar"])
