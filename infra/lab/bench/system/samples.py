"""Looks once a second at what the run uses: processors, memory, the workers' own metrics, and lag."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.lag.reader import LagReader, open_lag_reader
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.types import GroupLag
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.lab.bench.feed.process_tree import cpu_seconds_by_pid
from sightstream.infra.lab.bench.system.activity import SUFFIX
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

INTERVAL_S = 1.0
EACH_COSTLY = 5  # samples: the kernel walks all pages of a process to tell its share, and lag needs the broker
COUNTERS = (
    "sightstream_worker_commit_seconds_count",
    "sightstream_worker_commit_seconds_sum",
    "sightstream_cache_lookups_total",
    "sightstream_shared_requests_total",
    "sightstream_engine_restarts_total",
    "sightstream_decoder_restarts_total",
)
GAUGES = ("sightstream_worker_in_flight", "sightstream_worker_in_flight_bytes")
_HITS_ONLY = "sightstream_cache_lookups_total"


@dataclass(slots=True)
class Growth:
    """Adds up what counters grow by, also where a process ends and its successor counts from 0 again."""

    totals: dict[str, float] = field(default_factory=dict)
    _last: dict[tuple[str, object], float] = field(default_factory=dict)

    def add(self, total: str, source: object, value: float) -> None:
        last = self._last.get((total, source), 0.0)
        self.totals[total] = self.totals.get(total, 0.0) + (value - last if value >= last else value)
        self._last[total, source] = value


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at `at`, a moment of time.monotonic(). `totals` only grow; CPU stands there by role, in seconds."""

    at: float
    answered: int
    totals: Mapping[str, float]
    in_flight: int
    in_flight_bytes: int
    host_bytes: int | None
    lag: int | None
    empty_in_s: float | None


@dataclass(frozen=True, slots=True)
class WatchedWorker:
    """Where a worker can be watched; `pid` returns None while it does not run."""

    pid: Callable[[], int | None]
    metrics_port: int
    activity: Path


@dataclass(frozen=True, slots=True)
class ServerPids:
    """The processes that are not ours; `store` is None where images are files."""

    broker: int
    store: int | None


class Sampler:
    """Takes samples on a thread of its own until it is left."""

    def __init__(
        self,
        workers: list[WatchedWorker],
        servers: ServerPids,
        kafka: KafkaSettings,
        topics: TopicSettings,
        answered: Callable[[], int],
    ) -> None:
        self.samples: list[Sample] = []
        self._workers, self._servers, self._answered = workers, servers, answered
        self._kafka, self._topics = kafka, topics
        self._growth = Growth()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        group = {WorkerSettings().group_id: (self._topics.requests,)}
        with open_lag_reader(self._kafka, LagSettings(), group) as lag:
            while not self._stopping.wait(INTERVAL_S):
                self.samples.append(self._sample(lag if len(self.samples) % EACH_COSTLY == 0 else None))

    def _sample(self, reader: LagReader | None) -> Sample:
        """With a reader, also read what costs more."""
        self._add_cpu()
        gauges = self._add_metrics()
        lag = _lag(reader) if reader else None
        return Sample(
            at=time.monotonic(),
            answered=self._answered(),
            totals=dict(self._growth.totals),
            in_flight=round(gauges["sightstream_worker_in_flight"]),
            in_flight_bytes=round(gauges["sightstream_worker_in_flight_bytes"]),
            host_bytes=self._host_bytes() if reader else None,
            lag=lag.records if lag else None,
            empty_in_s=lag.queue_empty_seconds if lag else None,
        )

    def _add_cpu(self) -> None:
        for role, pid in (("broker", self._servers.broker), ("store", self._servers.store)):
            if pid is not None:
                self._growth.add(f"cpu {role}", pid, sum(cpu_seconds_by_pid([pid]).values()))
        for worker in self._workers:
            if (pid := worker.pid()) is None:
                continue
            engines = {int(file.stem) for file in worker.activity.glob(f"*{SUFFIX}")}
            for each, seconds in cpu_seconds_by_pid([pid]).items():
                role = "worker" if each == pid else "engine" if each in engines else "decoders"
                self._growth.add(f"cpu {role}", each, seconds)

    def _add_metrics(self) -> dict[str, float]:
        gauges = dict.fromkeys(GAUGES, 0.0)
        for worker in self._workers:
            found = read_metrics(worker.metrics_port)
            for name in COUNTERS:
                if name in found:
                    self._growth.add(name, worker.metrics_port, found[name])
            for name in GAUGES:
                gauges[name] += found.get(name, 0.0)
        return gauges

    def _host_bytes(self) -> int:
        pids = [pid for worker in self._workers if (pid := worker.pid()) is not None]
        return sum(map(proportional_bytes, cpu_seconds_by_pid(pids)))


def _lag(reader: LagReader) -> GroupLag | None:
    """Return the lag of the only group, None where the broker does not tell in time."""
    with suppress(KafkaReadError):
        return reader.read()[0]
    return None


def read_metrics(port: int) -> dict[str, float]:
    """Return the worker's counters and gauges, {} where none answers. Labels are added up; of lookups, hits count."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, float] = {}
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        for family in text_string_to_metric_families(page.read().decode()):
            for sample in family.samples:
                if sample.name != _HITS_ONLY or sample.labels.get("outcome") == "hit":
                    found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def proportional_bytes(pid: int) -> int:
    """Return the bytes of a process in memory; pages that several share are divided among them."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
