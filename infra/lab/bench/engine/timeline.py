"""When each phase of the engine's device work began and ended, on the device and on the host that launched it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch

from sightstream.infra.lab.bench.engine.timing import TimedEvent, new_event
from sightstream.pipeline.engine.slots.phase_timer import Phase

PREFILL_PHASES: tuple[Phase, ...] = ("encode", "image_kv", "prompts", "first_tokens")  # of one stream, in this order


@dataclass(frozen=True, slots=True)
class Span:
    """One phase. Seconds since the recording began; `host_*` are the host's, which only launches the work."""

    phase: Phase
    count: int
    begin: float
    end: float
    host_begin: float
    host_end: float


@dataclass(frozen=True, slots=True)
class _Mark:
    phase: Phase
    count: int
    host_begin: float
    host_end: float
    events: tuple[TimedEvent, TimedEvent] | None


class Timeline:
    """A `PhaseTimer` that records between `start` and `stop`, by device events; on a CPU by the clock."""

    def __init__(self, device: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._on_gpu, self._clock = device == "cuda", clock
        self.recording = False
        self._marks: list[_Mark] = []
        self._start_s = 0.0
        self._start_event: TimedEvent | None = None

    def __call__(self, phase: Phase, count: int) -> AbstractContextManager[object]:
        return self._record(phase, count) if self.recording else nullcontext()

    def start(self) -> None:
        """Forget what was recorded, and record. Blocks until the device is idle, so that both clocks agree."""
        self._marks.clear()
        if self._on_gpu:
            torch.cuda.synchronize()
            self._start_event = _recorded()
        self._start_s, self.recording = self._clock(), True

    def stop(self) -> None:
        self.recording = False

    def spans(self) -> list[Span]:
        """What was recorded, in the order of the launches. Blocks until the device is idle."""
        if self._on_gpu:
            torch.cuda.synchronize()
        return [self._span(mark) for mark in self._marks]

    @contextmanager
    def _record(self, phase: Phase, count: int) -> Iterator[None]:
        host_begin, begin = self._clock(), _recorded() if self._on_gpu else None
        yield
        events = (begin, _recorded()) if begin is not None else None
        self._marks.append(_Mark(phase, count, host_begin, self._clock(), events))

    def _span(self, mark: _Mark) -> Span:
        host_begin, host_end = mark.host_begin - self._start_s, mark.host_end - self._start_s
        if mark.events is None or self._start_event is None:
            return Span(mark.phase, mark.count, host_begin, host_end, host_begin, host_end)
        begin, end = (self._start_event.elapsed_time(event) / 1000 for event in mark.events)
        return Span(mark.phase, mark.count, begin, end, host_begin, host_end)


def _recorded() -> TimedEvent:
    event = new_event(enable_timing=True)
    event.record()
    return event


Interval = tuple[float, float]


def busy(spans: Sequence[Span]) -> list[Interval]:
    """Return the times at which at least one of the spans ran, in order and disjoint."""
    merged: list[Interval] = []
    for begin, end in sorted((span.begin, span.end) for span in spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def within(intervals: Sequence[Interval], window: Sequence[Interval]) -> float:
    """Return for how many seconds both lists of disjoint intervals hold."""
    return sum(max(0.0, min(end, close) - max(begin, opened)) for begin, end in intervals for opened, close in window)
