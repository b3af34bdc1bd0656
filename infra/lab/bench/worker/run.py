"""Runs both parts, each with a worker and topics of its own, on one broker and one object store."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.feed.options import FeedOptions
from sightstream.infra.lab.bench.feed.workload import Workload, running_workload
from sightstream.infra.lab.bench.transactions.workload import Stream, make_topics, open_stream, unthrottled_worker
from sightstream.infra.lab.bench.worker.options import WorkerOptions
from sightstream.infra.lab.bench.worker.processes import cpu_by_part
from sightstream.infra.runtime.local import DEFAULT_BUCKET
from sightstream.infra.runtime.service import Program, Service
from sightstream.pipeline.engine.simulated import SECONDS

READ_S = 0.002
PAUSE_S = 0.1
TILE_SIDE_PX = 560


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one worker did while requests waited; `slot_time_used` is that of the answers, of all that the slots had."""

    images_per_s: float
    slot_time_used: float
    cpu_s_per_image: dict[str, float]


@dataclass(frozen=True, slots=True)
class Measurement:
    """`latencies_s`: from publishing a request on an idle worker until its committed result was read."""

    options: WorkerOptions
    latencies_s: list[float]
    backlog: Backlog


def measure(options: WorkerOptions, report: Callable[[str], None]) -> Measurement:
    """Blocks for minutes. Raises CommandError when a worker fails or the backlog runs out."""
    report("starting Kafka and S3, making photographs")
    feed = FeedOptions(distinct=options.distinct, side_px=options.side_px, partitions=options.partitions)
    with running_workload(feed) as workload:
        report(f"{options.singles} images, one after the other")
        latencies = _singles(workload, options)
        report(f"a backlog for {options.slots} slots, for {options.seconds:g} s")
        return Measurement(options, latencies, _backlog(workload, options))


def _singles(workload: Workload, options: WorkerOptions) -> list[float]:
    with _stream(workload, options, "single") as (stream, start), start(1) as worker:
        for number in range(options.singles + 1):  # the first one pays for the start
            stream.publish(number, f"{SECONDS}{options.single_s}", _uri(workload, number))
            _read_until(stream, number + 1, options, worker)
            time.sleep(PAUSE_S)
        return stream.latencies_s(range(1, options.singles + 1))


def _backlog(workload: Workload, options: WorkerOptions) -> Backlog:
    with _stream(workload, options, "backlog") as (stream, start):
        for number in range(options.backlog):
            stream.publish(number, f"{SECONDS}{options.seconds_of(number)}", _uri(workload, number))
        with start(options.slots) as worker:
            _read_until(stream, options.warm, options, worker)
            since, cpu = time.monotonic(), cpu_by_part(worker.pid)
            warm = set(stream.seen_at)
            while (now := time.monotonic()) < since + options.seconds:
                stream.read(READ_S)
            until, cpu_at_end = now, cpu_by_part(worker.pid)
    answered = stream.seen_at.keys() - warm
    if options.backlog - len(stream.seen_at) < 2 * options.slots:
        raise CommandError("the backlog ran out: the figures would say nothing")
    used_s = sum(options.seconds_of(int(name.removeprefix("r-"))) for name in answered)
    cpu_s = {part: (cpu_at_end[part] - cpu[part]) / len(answered) for part in cpu}
    return Backlog(len(answered) / (until - since), used_s / options.slots / (until - since), cpu_s)


def _read_until(stream: Stream, count: int, options: WorkerOptions, worker: Service) -> None:
    deadline = time.monotonic() + options.timeout_s
    while len(stream.seen_at) < count:
        stream.read(READ_S)
        if time.monotonic() > deadline:
            stream.read_until(count, deadline, worker)  # raises, with the end of the worker's log


@contextmanager
def _stream(
    workload: Workload, options: WorkerOptions, name: str
) -> Iterator[tuple[Stream, Callable[[int], AbstractContextManager[Service]]]]:
    topics, config = make_topics(workload.runtime, name, options.partitions)
    with open_stream(workload.runtime, topics, _uri(workload, 0)) as stream:
        yield stream, lambda slots: _worker(workload, config, name, slots)


@contextmanager
def _worker(workload: Workload, config: Path, name: str, slots: int) -> Iterator[Service]:
    """Run a worker on the simulated engine, whose images are scaled onto four tiles as for the 11B model."""
    processor = workload.folder / "image-processor"
    processor.mkdir(exist_ok=True)
    size = {"height": TILE_SIDE_PX, "width": TILE_SIDE_PX}
    (processor / "preprocessor_config.json").write_text(json.dumps({"size": size, "max_image_tiles": 4}))
    environment = unthrottled_worker(config, name) | {
        "SIGHTSTREAM_ENGINE_MAX_BATCH": str(slots),
        "SIGHTSTREAM_ENGINE_CHECKPOINT": str(processor),
    }
    command = [sys.executable, "-m", "sightstream", "worker"]
    worker = workload.runtime.run(Program(name, command, workload.folder / f"{name}.log", lambda _: None, environment))
    try:
        yield worker
    finally:
        worker.stop()


def _uri(workload: Workload, number: int) -> str:
    return f"s3://{DEFAULT_BUCKET}/{number % len(workload.photographs)}.jpg"
