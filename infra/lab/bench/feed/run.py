"""A whole comparison: the scene once, then one contestant after the other, round after round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.feed.contestants import Contestant
from sightstream.infra.lab.bench.feed.job import Job
from sightstream.infra.lab.bench.feed.options import FeedOptions
from sightstream.infra.lab.bench.feed.peers_environment import ensure_peers
from sightstream.infra.lab.bench.feed.pillow_alone import decode_cpu_s
from sightstream.infra.lab.bench.feed.process_tree import usage
from sightstream.infra.lab.bench.feed.scene import Scene, scene
from sightstream.infra.lab.bench.feed.watch import Run, watch
from sightstream.infra.runtime.service import Program, Service


@dataclass(slots=True)
class Comparison:
    """A contestant without runs has failed in each round.

    `pillow_cpu_s` is what Pillow alone took for a picture, just before and after each run.
    """

    options: FeedOptions
    contestants: Sequence[Contestant]
    picture_bytes: int = 0
    runs: dict[str, list[Run]] = field(default_factory=dict)
    pillow_cpu_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def compare(options: FeedOptions, contestants: Sequence[Contestant], say: Callable[[str], None]) -> Comparison:
    """Blocks for minutes. A contestant that fails is told, and costs only its own figures."""
    comparison = Comparison(options, contestants, runs={contestant.name: [] for contestant in contestants})
    peers = ensure_peers() if any(contestant.script for contestant in contestants) else Path()
    say("starting Kafka and S3, drawing pictures")
    with scene(options) as stage:
        comparison.picture_bytes = sum(map(len, stage.pictures)) // len(stage.pictures)
        for number in range(options.rounds):
            for contestant in contestants:
                say(f"round {number + 1} of {options.rounds}: {contestant.name}")
                _take_part(comparison, contestant, stage, number, peers)
    return comparison


def _take_part(comparison: Comparison, contestant: Contestant, stage: Scene, number: int, peers: Path) -> None:
    job = stage.job(f"c{comparison.contestants.index(contestant)}-{number}")
    comparison.pillow_cpu_s.append(decode_cpu_s(stage.pictures))
    try:
        with _running(contestant, stage, job, peers) as services:
            pids = [service.pid for service in services]
            run = watch(job, stage.options, lambda: usage(pids), lambda: all(found.running for found in services))
        comparison.runs[contestant.name].append(run)
    except CommandError as error:
        comparison.failures.append(f"{contestant.name}: {error}\n{_log(stage, job).read_text()[-2000:]}")
    finally:
        comparison.pillow_cpu_s.append(decode_cpu_s(stage.pictures))


@contextmanager
def _running(contestant: Contestant, stage: Scene, job: Job, peers: Path) -> Iterator[list[Service]]:
    command = contestant.command(job.write(stage.folder), peers)
    program = Program(contestant.name, command, _log(stage, job), lambda _: None, dict(contestant.environment(job)))
    services = [stage.runtime.run(program) for _ in range(contestant.instances)]
    try:
        yield services
    finally:
        for service in services:
            service.stop()


def _log(stage: Scene, job: Job) -> Path:
    return stage.folder / f"{job.group}.log"
