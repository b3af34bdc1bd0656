"""How long a piece of device work takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Protocol, cast

import torch


class TimedEvent(Protocol):
    """The part of torch.cuda.Event that is used here."""

    def record(self) -> None: ...
    def synchronize(self) -> None: ...
    def elapsed_time(self, end_event: TimedEvent) -> float: ...


new_event = cast("Callable[..., TimedEvent]", torch.cuda.Event)  # typed: torch's own class is not


def median_seconds(work: Callable[[], object], device: str, repeats: int, warm_ups: int = 3) -> float:
    """Median of `repeats` runs, each between two device events (on a CPU by the clock)."""
    for _ in range(warm_ups):
        work()
    return median(_once(work, device) for _ in range(repeats))


def _once(work: Callable[[], object], device: str) -> float:
    if device == "cpu":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    begin, end = new_event(enable_timing=True), new_event(enable_timing=True)
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000
