"""Starts the demo's processes: workers, store, lookup and lag exporter, each by the command that a user would type."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from sightstream.consumers.private_files import write_private
from sightstream.infra.lab.demo.shop import MAX_IMAGE_BYTES
from sightstream.infra.runtime.service import Program

CHECKPOINT = Path(__file__).parents[1] / "demo_model" / "checkpoint"
WORKER_GROUP = "sightstream-workers"
WORKERS = ("worker-1", "worker-2")


def database(folder: Path) -> Path:
    return folder / "results.db"


def lookup_folder(folder: Path) -> Path:
    return folder / "lookup"


def write_settings(folder: Path, runtime_config: Path, ports: Mapping[str, int]) -> Path:
    """Write the runtime's settings and the demo's own to one file, which other `sightstream` commands can use too.

    `ports` has the port of each process's metrics.
    """
    threads = 1  # a model this small gets slower with more
    sections: dict[str, dict[str, object]] = {
        "worker": {
            "group_id": WORKER_GROUP,
            "session_timeout_s": 6,  # short, so that a killed worker's partitions move while one watches
            "transaction_timeout_s": 6,
            "commit_interval_s": 0.25,
        },
        "engine": {"checkpoint": str(CHECKPOINT), "model_name": "sightstream-demo", "threads": threads},
        "decode": {"processes": 1},
        "flow": {"max_in_flight": 24},
        "fetch": {"max_bytes": MAX_IMAGE_BYTES},
        "store": {"path": str(database(folder)), "metrics_port": ports["store"]},
        "lookup": {"data_dir": str(lookup_folder(folder)), "port": ports["lookup"]},
        "lag": {"interval_s": 1, "metrics_port": ports["lag"]},
    }
    own = "".join(f"\n[{name}]\n{_lines(values)}" for name, values in sections.items())
    file = folder / "demo.toml"
    write_private(file, runtime_config.read_text(encoding="utf-8") + own)
    return file


def _lines(values: dict[str, object]) -> str:
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())


def make_program(folder: Path, config: Path, name: str, port: int, *arguments: str) -> Program:
    """Return a `sightstream` command with a log of its own, and a name and a port of its own where it is a worker."""
    command = [sys.executable, "-m", "sightstream", "--config", str(config), *arguments]
    environment = {"SIGHTSTREAM_WORKER_NAME": name, "SIGHTSTREAM_WORKER_METRICS_PORT": str(port)}
    return Program(name, command, folder / "logs" / f"{name}.log", lambda _: None, environment)
