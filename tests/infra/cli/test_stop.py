"""SIGTERM ends a command at once while the broker is down, also as the first process of a container."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.consumers.waiting import wait_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
NEVER_ANSWERS = "127.0.0.1:1"
COMMANDS = [("worker",), ("store",), ("lookup", "--serve"), ("lag", "--serve"), ("lag", "--watch")]
# Enough to be past the imports, in the midst of a call that waits for the broker.
LATER_S = 3.0


def as_first_process(*command: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command as process 1 of a namespace of its own; return what started it, and its id as seen here."""
    namespace = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    outer = start([*namespace, *python(*command)], folder)
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    return outer, int(wait_for(lambda: children.read_text().split())[0])


def python(*command: str) -> list[str]:
    return [sys.executable, "-m", "sightstream", *command]


def start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    chosen = {
        "KAFKA_BOOTSTRAP_SERVERS": NEVER_ANSWERS,
        "ENGINE_KIND": "simulated",
        "STORE_PATH": folder / "results.db",
        "LOOKUP_DATA_DIR": folder / "lookup",
        "LOOKUP_PORT": 0,
        "LAG_METRICS_PORT": 0,
        "WORKER_NAME": folder.name,
    }
    environment = os.environ | {f"SIGHTSTREAM_{key}": str(value) for key, value in chosen.items()}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)


def listens(pid: int) -> bool:
    """Return whether the process has a handler for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def still_running(processes: Mapping[str, subprocess.Popen[bytes]], within_s: float) -> list[str]:
    """Return the commands that have not ended within this time."""
    with suppress(AssertionError):
        wait_for(lambda: all(process.poll() is not None for process in processes.values()), within_s)
    return [name for name, process in processes.items() if process.poll() is None]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has process namespaces")
@pytest.mark.parametrize("after_s", [0, LATER_S])
def test_the_first_process_of_a_container_hears_it(
    after_s: float, started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    outer: dict[str, subprocess.Popen[bytes]] = {}
    inner: dict[str, int] = {}
    for command in COMMANDS:
        name = " ".join(command)
        outer[name], inner[name] = as_first_process(*command, folder=tmp_path)
        started.append(outer[name])
    wait_for(lambda: all(map(listens, inner.values())), 10)
    if after_s:
        assert still_running(outer, after_s) == list(outer)
    for pid in inner.values():
        os.kill(pid, signal.SIGTERM)
    assert still_running(outer, 5) == []
    assert {process.returncode for process in outer.values()} <= {0, 130}


def test_an_ordinary_process_hears_it(started: list[subprocess.Popen[bytes]], tmp_path: Path) -> None:
    processes = {" ".join(command): start(python(*command), tmp_path) for command in COMMANDS}
    started += processes.values()
    assert still_running(processes, LATER_S) == list(processes)
    for process in processes.values():
        process.send_signal(signal.SIGTERM)
    assert still_running(processes, 5) == []
    assert {process.returncode for process in processes.values()} <= {0, 130, -signal.SIGTERM}
