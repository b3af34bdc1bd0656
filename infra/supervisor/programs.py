"""The workers to run, each with a GPU, a name and a port of its own."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.settings import variable
from sightstream.infra.supervisor.gpus import DEVICES_VARIABLE, WrongGpus, visible_device

LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class WorkerProgram:
    """One worker; `environment` comes on top of the supervisor's own, and `label` stands before each of its lines."""

    label: str
    command: Sequence[str]
    environment: Mapping[str, str]


def worker_programs(gpus: Sequence[int], settings: WorkerSettings, options: Sequence[str]) -> list[WorkerProgram]:
    """Return a program for each GPU; `options` are those of `sightstream worker`. Raises WrongGpus.

    Names follow from the GPU's number, so that they stay over restarts. The ports of metrics count up from the
    setting's.
    """
    base, port = settings.name or socket.gethostname(), settings.metrics_port
    if port and port + max(gpus) > LAST_PORT:
        raise WrongGpus(f"the ports of metrics count up from metrics_port ({port}), past {LAST_PORT}; lower it")
    command = [sys.executable, "-m", "sightstream", "worker", *options]
    return [
        WorkerProgram(
            f"gpu {gpu}",
            command,
            {
                DEVICES_VARIABLE: visible_device(gpu),
                variable("worker", "name"): f"{base}-gpu{gpu}",
                variable("worker", "metrics_port"): str(port and port + gpu),
            },
        )
        for gpu in gpus
    ]
