"""The workers of a run: one process for each, with a name, a port and a card of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.system.options import SystemOptions
from sightstream.infra.lab.bench.system.samples import WatchedWorker, read_metrics
from sightstream.infra.lab.bench.system.workload import Workload
from sightstream.infra.runtime.ports import free_ports
from sightstream.infra.runtime.service import Program, Service
from sightstream.infra.settings import variable
from sightstream.schemas.connections.settings_file import CONFIG_VARIABLE

MODULE = "sightstream.infra.lab.bench.system.worker_process"
ALONE_MODULE = "sightstream.infra.lab.bench.system.engine_alone"


@dataclass(slots=True)
class RunningWorker:
    """One worker, with the port of its metrics and the folder that its engine's processes write to."""

    service: Service
    metrics_port: int
    activity: Path

    def pid(self) -> int | None:
        return self.service.pid if self.service.running else None

    @property
    def watched(self) -> WatchedWorker:
        return WatchedWorker(self.pid, self.metrics_port, self.activity)

    def check(self) -> None:
        """Raise CommandError, with the end of its log, when it has died."""
        self.service.check()

    def kill_and_restart(self) -> int:
        """Kill it as in a crash, start it again, and return how many requests it held in the moment before."""
        held = read_metrics(self.metrics_port).get("sightstream_worker_in_flight", 0.0)
        self.service.kill()
        self.service.start()
        return round(held)


@contextmanager
def running_workers(workload: Workload, model: str, folder: Path) -> Iterator[list[RunningWorker]]:
    """Start all workers; returns before their models are loaded. They end with the block."""
    options = workload.options
    workers = [
        _worker(workload, model, folder, number, port) for number, port in enumerate(free_ports(options.workers))
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.service.begin_stop()
        for worker in workers:
            worker.service.stop()


def _worker(workload: Workload, model: str, folder: Path, number: int, port: int) -> RunningWorker:
    options, name = workload.options, f"worker-{number}"
    activity = folder / name
    activity.mkdir()
    environment = common_environment(options) | {
        CONFIG_VARIABLE: str(workload.config),
        variable("worker", "name"): name,
        variable("worker", "state_dir"): str(folder),
        variable("worker", "metrics_port"): str(port),
        variable("fetch", "file_roots"): json.dumps([str(workload.images)]),
    }
    if options.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = str(options.gpus[number % len(options.gpus)])
    command = [sys.executable, "-m", MODULE, model, str(activity)]
    service = workload.runtime.run(Program(name, command, folder / f"{name}.log", lambda _: None, environment))
    return RunningWorker(service, port, activity)


def common_environment(options: SystemOptions) -> dict[str, str]:
    """Return the engine's settings for workers and engine alone: answers are as long as they are asked to be."""
    given = {variable("engine", name): value for name, value in options.settings.items()}
    return {variable("engine", "guided_sections"): "false"} | given


def run_engine_alone(workload: Workload, task: Path, folder: Path) -> None:
    """Run the engine alone on the first card and wait for its end. Raises CommandError when it fails."""
    environment = common_environment(workload.options) | {CONFIG_VARIABLE: str(workload.config)}
    if workload.options.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = str(workload.options.gpus[0])
    log = folder / "engine-alone.log"
    command = [sys.executable, "-m", ALONE_MODULE, str(task)]
    service = workload.runtime.run(Program("engine alone", command, log, lambda _: None, environment))
    if service.wait() != 0:
        raise CommandError(f"the engine alone failed:\n{log.read_text(errors='replace')[-3000:]}")
