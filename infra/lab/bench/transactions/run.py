"""Runs both sides in turn, round after round, on one broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from sightstream.infra.lab.bench.feed.process_tree import Usage, usage
from sightstream.infra.lab.bench.transactions.options import PLAIN, TRANSACTIONS, TransactionsOptions
from sightstream.infra.lab.bench.transactions.workload import (
    Stream,
    check_options,
    make_image,
    make_topics,
    open_stream,
    running_worker,
)
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.service import Service


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one side."""

    results_per_s: float
    cpu_s_per_result: float
    p95_s: float


@dataclass(slots=True)
class Comparison:
    """The runs of both sides, by round."""

    options: TransactionsOptions
    runs: dict[str, list[Run]] = field(default_factory=lambda: {TRANSACTIONS: [], PLAIN: []})


def compare(options: TransactionsOptions, report: Callable[[str], None]) -> Comparison:
    """Run every round; blocks for minutes. Raises CommandError when a worker fails."""
    check_options(options)
    comparison = Comparison(options)
    report("starting Kafka")
    with TemporaryDirectory(prefix="sightstream-bench-") as name, LocalRuntime(Path(name) / "runtime") as runtime:
        image = make_image(Path(name))
        for number in range(options.rounds):
            for side in (TRANSACTIONS, PLAIN) if number % 2 == 0 else (PLAIN, TRANSACTIONS):
                run = _run_once(runtime, image, side, number, options)
                comparison.runs[side].append(run)
                report(
                    f"round {number + 1} of {options.rounds}, {side}: {run.results_per_s:.0f} results/s, "
                    f"{run.cpu_s_per_result * 1e3:.2f} ms of CPU, p95 {run.p95_s * 1e3:.0f} ms"
                )
    return comparison


def _run_once(runtime: LocalRuntime, image: Path, side: str, number: int, options: TransactionsOptions) -> Run:
    name = f"{side}-{number}"
    topics, config = make_topics(runtime, name, options.partitions)
    with open_stream(runtime, topics, image.as_uri()) as stream:
        # Before the worker starts: publishing costs more than reading, and would be what is measured.
        for request in range(options.results):
            stream.publish(request)
        with running_worker(runtime, side, config, name, image) as worker:
            rate, cpu_s = _work_off(stream, worker, options)
            return Run(rate, cpu_s, _pace(stream, worker, options))


def _work_off(stream: Stream, worker: Service, options: TransactionsOptions) -> tuple[float, float]:
    """Return results/s and processor seconds per result, from the warm fraction of the backlog to its last result."""
    deadline = time.monotonic() + options.timeout_s
    marks: list[tuple[float, int, Usage]] = []
    for wanted in (round(options.warm_fraction * options.results), options.results):
        stream.read_until(wanted, deadline, worker)
        marks.append((time.monotonic(), len(stream.seen_at), usage([worker.pid])))
    (start, before, used), (end, after, used_at_end) = marks
    return (after - before) / (end - start), (used_at_end.cpu_s - used.cpu_s) / (after - before)


def _pace(stream: Stream, worker: Service, options: TransactionsOptions) -> float:
    """Publish at a steady rate, and return the 95th percentile of the time until the result is visible."""
    start, numbers = time.monotonic(), range(options.results, options.results + options.paced)
    for index, number in enumerate(numbers):
        due = start + index / options.paced_per_s
        while (left := due - time.monotonic()) > 0:
            stream.read(min(left, 0.005))
        stream.publish(number)
    stream.read_until(numbers.stop, time.monotonic() + options.timeout_s, worker)
    return quantiles(stream.latencies_s(numbers), n=20)[-1]
