"""A worker whose machine has no file handles left: its images wait, and none becomes a dead letter."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.harness import WorkerHarness, wait_for

pytestmark = pytest.mark.real

SHORT_FOR_S = 3.0


def leave_file_handles(pid: int, count: int) -> tuple[int, int]:
    """Let the process open `count` files more, and return the limits that it had."""
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = [number for number in range(len(used) + count + 1) if number not in used]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[count], before[1]))
    return before


def decode_children(worker: subprocess.Popen[bytes]) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == worker.pid and b"decode.child" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_a_worker_without_file_handles_waits_and_loses_no_image(harness: WorkerHarness) -> None:
    harness.publish(10)
    worker = harness.start_worker(
        worker_max_attempts=2, worker_backoff_s=0.1, worker_max_backoff_s=1, worker_breaker_probe_s=0.5
    )
    harness.wait_outcomes(10)
    limits = leave_file_handles(worker.pid, 2)  # enough to fetch one file at a time, and for no process
    for child in decode_children(worker):
        os.kill(child, signal.SIGKILL)
    harness.publish(40)
    short_until = time.monotonic() + SHORT_FOR_S
    wait_for(lambda: time.monotonic() > short_until, "the shortage to last")
    found = harness.outcomes()
    assert (len(found.results), found.failures) == (10, [])
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, limits)
    assert len(harness.check_exactly_once().results) == 50
