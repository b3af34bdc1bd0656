"""Runs a whole comparison: the workload once, then one system under test after the other, round after round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.feed.job import Job
from sightstream.infra.lab.bench.feed.measurement import Run, measure
from sightstream.infra.lab.bench.feed.options import FeedOptions
from sightstream.infra.lab.bench.feed.pillow_alone import decode_cpu_s
from sightstream.infra.lab.bench.feed.process_tree import usage
from sightstream.infra.lab.bench.feed.systems import BASELINES, SystemUnderTest
from sightstream.infra.lab.bench.feed.workload import Workload, running_workload
from sightstream.infra.lab.environment import ensure_environment
from sightstream.infra.runtime.service import Program, Service


@dataclass(slots=True)
class Comparison:
    """The runs of every system; one without runs failed in each round.

    `pillow_cpu_s` is what Pillow alone took per file, measured just before and after each run.
    """

    options: FeedOptions
    systems: Sequence[SystemUnderTest]
    photograph_bytes: int = 0
    runs: dict[str, list[Run]] = field(default_factory=dict)
    pillow_cpu_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def compare(options: FeedOptions, systems: Sequence[SystemUnderTest], report: Callable[[str], None]) -> Comparison:
    """Run every system in every round; blocks for minutes. A system that fails costs only its own figures."""
    comparison = Comparison(options, systems, runs={system.name: [] for system in systems})
    baselines_python = Path()
    if any(system.script for system in systems):
        baselines_python = ensure_environment("baselines", BASELINES / "requirements.txt")
    report("starting Kafka and S3, making photographs")
    with running_workload(options) as workload:
        comparison.photograph_bytes = sum(map(len, workload.photographs)) // len(workload.photographs)
        for number in range(options.rounds):
            for system in systems:
                report(f"round {number + 1} of {options.rounds}: {system.name}")
                _run_once(comparison, system, workload, number, baselines_python)
    return comparison


def _run_once(
    comparison: Comparison, system: SystemUnderTest, workload: Workload, number: int, baselines_python: Path
) -> None:
    job = workload.job(f"c{comparison.systems.index(system)}-{number}")
    comparison.pillow_cpu_s.append(decode_cpu_s(workload.photographs))
    try:
        with _running(system, workload, job, baselines_python) as services:
            pids = [service.pid for service in services]
            run = measure(job, workload.options, lambda: usage(pids), lambda: all(each.running for each in services))
        comparison.runs[system.name].append(run)
    except CommandError as error:
        comparison.failures.append(f"{system.name}: {error}\n{_log(workload, job).read_text()[-2000:]}")
    finally:
        comparison.pillow_cpu_s.append(decode_cpu_s(workload.photographs))


@contextmanager
def _running(system: SystemUnderTest, workload: Workload, job: Job, baselines_python: Path) -> Iterator[list[Service]]:
    command = system.command(job.write(workload.folder), baselines_python)
    program = Program(system.name, command, _log(workload, job), lambda _: None, dict(system.environment(job)))
    services = [workload.runtime.run(program) for _ in range(system.instances)]
    try:
        yield services
    finally:
        for service in services:
            service.stop()


def _log(workload: Workload, job: Job) -> Path:
    return workload.folder / f"{job.group_id}.log"
