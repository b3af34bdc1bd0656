"""Runs the pairs, and says what each of metrics and traces costs for a request."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from statistics import median

from sightstream.infra.lab.bench.observability.variants import running_receiver, without_metrics, without_traces
from sightstream.infra.lab.bench.observability.workload import BATCH_RECORDS, run_requests
from sightstream.schemas.connections.spans import Spans, open_spans

METRICS, OFF, ON = "metrics", "traces, off", "traces, on"
MOST_US = {METRICS: 50.0, OFF: 5.0, ON: 300.0}

Side = Callable[[], AbstractContextManager[Spans | None]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part costs, in microseconds of processor time for a request: the pairs' median, and their quartiles."""

    name: str
    median_us: float
    low_us: float
    high_us: float
    without_us: float

    @property
    def is_met(self) -> bool:
        return self.median_us <= MOST_US[self.name]


def measure(pairs: int, requests: int, report: Callable[[str], None]) -> list[Cost]:
    """Blocks for a minute or two."""
    run_requests(BATCH_RECORDS, None)  # the first run pays for what is loaded at first use
    with running_receiver() as tracing:
        sides: dict[str, tuple[Side, Side]] = {
            METRICS: (_with_neither, without_traces),
            OFF: (without_traces, nullcontext),
            ON: (nullcontext, lambda: open_spans(tracing, "bench", "bench")),
        }
        found = []
        for name, (without, within) in sides.items():
            report(f"{name}: {pairs} pairs of {requests} requests")
            found.append(_compare(name, without, within, pairs, requests))
        return found


@contextmanager
def _with_neither() -> Iterator[None]:
    with without_metrics(), without_traces():
        yield


def _compare(name: str, without: Side, within: Side, pairs: int, requests: int) -> Cost:
    differences, base = list[float](), list[float]()
    for number in range(pairs):
        order = (without, within) if number % 2 else (within, without)
        figures = {side: _cpu_us(side, requests) for side in order}
        differences.append(figures[within] - figures[without])
        base.append(figures[without])
    differences.sort()
    low, high = differences[pairs // 4], differences[-1 - pairs // 4]
    return Cost(name, median(differences), low, high, median(base))


def _cpu_us(side: Side, requests: int) -> float:
    """Return the processor time of a request, the sending of its spans included."""
    gc.collect()
    began = time.process_time()
    with side() as spans:
        run_requests(requests, spans)
    return (time.process_time() - began) / requests * 1e6
