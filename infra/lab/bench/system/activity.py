"""What the engine's process writes down about its device: when which kind of work ran there. Knows no torch."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["look", "prefill", "step", "encoder_cache_hit", "job"]

WORK: tuple[Kind, ...] = ("look", "prefill", "step")
KINDS: tuple[Kind, ...] = (*WORK, "encoder_cache_hit", "job")
SUFFIX = ".activity"
_RECORD = struct.Struct("<Bdd")


@dataclass(frozen=True, slots=True)
class Interval:
    """Work of one kind from `start` to `end`, in seconds of time.monotonic(), which all processes share.

    A `prefill` includes the looks at its images. A hit of the encoder cache has no length. A `job` is noted when it
    comes to an engine whose work is not recorded.
    """

    kind: Kind
    start: float
    end: float


class ActivityLog:
    """Appends intervals to a file of this process, each in one write, so that a kill loses none that ended before."""

    def __init__(self, file: Path) -> None:
        self._out = file.open("ab", buffering=0)

    def add(self, interval: Interval) -> None:
        self._out.write(_RECORD.pack(KINDS.index(interval.kind), interval.start, interval.end))


def read_activity(folder: Path) -> list[Interval]:
    """Return the intervals of all processes that wrote to this folder, by their start."""
    found = [each for file in folder.glob(f"*{SUFFIX}") for each in _read(file.read_bytes())]
    return sorted(found, key=lambda interval: interval.start)


def _read(data: bytes) -> Iterator[Interval]:
    whole = len(data) - len(data) % _RECORD.size
    for kind, start, end in _RECORD.iter_unpack(data[:whole]):
        yield Interval(KINDS[kind], start, end)


def busy_seconds(intervals: Iterable[Interval], start: float, end: float) -> float:
    """Return for how long at least one of them ran between the two moments. They must be sorted by their start."""
    busy, reached = 0.0, start
    for interval in intervals:
        begin, stop = max(interval.start, reached), min(interval.end, end)
        if stop > begin:
            busy += stop - begin
            reached = stop
    return busy


def idle_gaps(intervals: Iterable[Interval], start: float, end: float) -> list[float]:
    """Return the lengths of the times between the two moments in which none ran, the longest first."""
    gaps, reached = [], start
    for interval in intervals:
        if interval.end <= reached:
            continue
        if reached < min(interval.start, end):
            gaps.append(min(interval.start, end) - reached)
        reached = max(reached, interval.end)
    if reached < end:
        gaps.append(end - reached)
    return sorted(gaps, reverse=True)
