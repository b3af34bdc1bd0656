"""Runs every case with a worker of its own, on one broker and one object store, round after round."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from sightstream.infra.lab.bench.neighbours.options import (
    ALONE,
    FAR,
    MISSPELT,
    OUTAGE,
    TROUBLED,
    NeighboursOptions,
)
from sightstream.infra.lab.bench.neighbours.servers import LOOPBACK, OTHER_LOOPBACK, closed_port, far_store, slow_host
from sightstream.infra.lab.bench.transactions.workload import Stream, make_topics, open_stream, unthrottled_worker
from sightstream.infra.runtime.local import DEFAULT_BUCKET, LocalRuntime
from sightstream.infra.runtime.service import Program, Service
from sightstream.schemas.wire.request import ImageRef, ImageRequest

IMAGE_SIDE_PX = 1000
KEY = "honest.jpg"
HONEST, BASELINE = "r-", f"{FAR}, baseline"


@dataclass(frozen=True, slots=True)
class Run:
    """What the honest images of one run saw; `p99_s` is None for a backlog."""

    images_per_s: float
    p99_s: float | None


@dataclass(slots=True)
class Measurement:
    options: NeighboursOptions
    runs: dict[str, list[Run]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The addresses of one measurement, and a name for what each worker leaves behind."""

    runtime: LocalRuntime
    folder: Path
    options: NeighboursOptions
    slow_port: int
    down_port: int
    far_port: int

    def addresses(self, case: str) -> list[str]:
        """Return the addresses of the case in the order of publishing; those of honest images are all equal."""
        options, honest = self.options, f"s3://{DEFAULT_BUCKET}/{KEY}"
        slow, down = f"http://{LOOPBACK}:{self.slow_port}/x", f"http://{OTHER_LOOPBACK}:{self.down_port}/x"
        few = round(options.images * options.troubled_fraction)
        others = {
            TROUBLED: [slow, down] * few,
            OUTAGE: [down] * few,
            MISSPELT: [f"s3://misspelt/{KEY}"] * options.misspelt,
        }
        return interleave([honest] * options.images, others.get(case, []))


def interleave(these: list[str], others: list[str]) -> list[str]:
    """Return all of both, the others spread evenly."""
    order = [((n + 1) / (len(these) + 1), one) for n, one in enumerate(these)]
    order += [((n + 0.5) / len(others), one) for n, one in enumerate(others)]
    return [one for _, one in sorted(order, key=lambda item: item[0])]


def measure(options: NeighboursOptions, report: Callable[[str], None]) -> Measurement:
    """Run every round; blocks for minutes. Raises CommandError when a worker fails."""
    found = Measurement(options)
    report("starting Kafka and S3")
    with _neighbours(options) as neighbours:
        for number in range(options.rounds):
            for case in (ALONE, TROUBLED, MISSPELT):
                _run(found, neighbours, case, True, number, report)
            for case in (ALONE, OUTAGE, MISSPELT, FAR):
                _run(found, neighbours, case, False, number, report)
            if options.baseline is not None:
                _run(found, neighbours, BASELINE, False, number, report)
    return found


@contextmanager
def _neighbours(options: NeighboursOptions) -> Iterator[Neighbours]:
    with TemporaryDirectory(prefix="sightstream-bench-") as name, LocalRuntime(Path(name) / "runtime") as runtime:
        store = urlsplit(runtime.s3_settings.endpoint_url or "").port or 0
        put_image(runtime)
        with slow_host() as slow, far_store(store, options.delay_s) as far:
            yield Neighbours(runtime, Path(name), options, slow, closed_port(), far)


def put_image(runtime: LocalRuntime) -> None:
    from sightstream.infra.lab.bench.feed.photographs import make_photographs
    from sightstream.infra.runtime.resources import create_bucket
    from sightstream.schemas.connections.s3_client import s3_client

    (photograph,) = make_photographs(1, IMAGE_SIDE_PX)
    create_bucket(runtime.s3_settings, DEFAULT_BUCKET)
    s3_client(runtime.s3_settings).put_object(Bucket=DEFAULT_BUCKET, Key=KEY, Body=photograph)


def _run(
    found: Measurement, neighbours: Neighbours, case: str, is_paced: bool, number: int, report: Callable[[str], None]
) -> None:
    label = f"{case}, paced" if is_paced else case
    name = f"{label}-{number}".replace(", ", "-").replace(" ", "-")
    topics, config = make_topics(neighbours.runtime, name, neighbours.options.partitions)
    with open_stream(neighbours.runtime, topics, f"s3://{DEFAULT_BUCKET}/{KEY}") as stream:
        addresses = neighbours.addresses(case)
        if not is_paced:
            _publish(stream, addresses)
        with _worker(neighbours, case, config, name) as worker:
            run = _paced(stream, addresses, neighbours, worker) if is_paced else _backlog(stream, neighbours, worker)
    found.runs.setdefault(label, []).append(run)
    p99 = "" if run.p99_s is None else f", p99 {run.p99_s:.2f} s"
    report(f"round {number + 1}, {label}: {run.images_per_s:.1f} honest images/s{p99}")


@contextmanager
def _worker(neighbours: Neighbours, case: str, config: Path, name: str) -> Iterator[Service]:
    environment = {
        **unthrottled_worker(config, name),
        "SIGHTSTREAM_FETCH_ALLOWED_HOSTS": json.dumps([LOOPBACK, OTHER_LOOPBACK]),
        "SIGHTSTREAM_FETCH_ALLOWED_PORTS": json.dumps([neighbours.slow_port, neighbours.down_port]),
        "SIGHTSTREAM_FETCH_ALLOW_PRIVATE_ADDRESSES": "true",
    }
    if case in (FAR, BASELINE):
        environment["SIGHTSTREAM_S3_ENDPOINT_URL"] = f"http://{LOOPBACK}:{neighbours.far_port}"
    if case == BASELINE:
        environment["PYTHONPATH"] = str(neighbours.options.baseline)
    command = [sys.executable, "-P", "-m", "sightstream", "worker"]  # -P: not from the current folder
    worker = neighbours.runtime.run(
        Program(name, command, neighbours.folder / f"{name}.log", lambda _: None, environment)
    )
    try:
        yield worker
    finally:
        worker.stop()


def _publish(stream: Stream, addresses: list[str]) -> None:
    for number, address in enumerate(addresses):
        _publish_one(stream, number, address)


def _publish_one(stream: Stream, number: int, address: str) -> None:
    """Publish a request; the names of honest ones are those that a Stream knows."""
    is_honest = address.endswith(KEY) and "misspelt" not in address
    request_id = f"{HONEST}{number}" if is_honest else f"other-{number}"
    stream.publisher.publish(
        ImageRequest(
            request_id=request_id,
            product_id=f"p-{number}",
            image=ImageRef(uri=address),
            question="What does the picture show?",
            submitted_at=datetime.now(UTC),
        )
    )
    if is_honest:
        stream.published_at[request_id] = time.monotonic()


def _backlog(stream: Stream, neighbours: Neighbours, worker: Service) -> Run:
    options = neighbours.options
    deadline = time.monotonic() + options.timeout_s
    warm = options.images // 5
    stream.read_until(warm, deadline, worker)
    start, before = time.monotonic(), len(stream.seen_at)
    stream.read_until(options.images, deadline, worker)
    return Run((len(stream.seen_at) - before) / (time.monotonic() - start), None)


def _paced(stream: Stream, addresses: list[str], neighbours: Neighbours, worker: Service) -> Run:
    """Publish honest images at a steady rate, the others between them, once the worker has answered a first one."""
    options, per_s = neighbours.options, neighbours.options.paced_per_s * len(addresses) / neighbours.options.images
    deadline = time.monotonic() + options.timeout_s
    _publish_one(stream, len(addresses), f"s3://{DEFAULT_BUCKET}/{KEY}")
    stream.read_until(1, deadline, worker)
    start = time.monotonic()
    for number, address in enumerate(addresses):
        while (left := start + number / per_s - time.monotonic()) > 0:
            stream.read(min(left, 0.005))
        _publish_one(stream, number, address)
    stream.read_until(options.images + 1, time.monotonic() + options.timeout_s, worker)
    took_s = max(stream.seen_at.values()) - start
    latencies = [stream.seen_at[name] - at for name, at in stream.published_at.items()]
    return Run(options.images / took_s, quantiles(latencies, n=100)[98])
