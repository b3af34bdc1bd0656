"""What surrounds the workers in a soak does what it says: a clock moves, a network is cut, a disk is full."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults import network, wall_clock
from tests.faults.harness import wait_for
from tests.faults.small_disk import small_disk

pytestmark = pytest.mark.soak

READ_TWICE = "import sys, time; print(time.time(), flush=True); sys.stdin.readline(); print(time.time(), flush=True)"


def test_the_clock_of_a_running_process_moves(tmp_path: Path) -> None:
    clock = wall_clock.WallClock.create(tmp_path)
    command = [sys.executable, "-c", READ_TWICE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=clock.environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert abs(float(process.stdout.readline()) - time.time()) < 30
        clock.move(3600)
        process.stdin.write("\n")
        process.stdin.flush()
        assert abs(float(process.stdout.readline()) - time.time() - 3600) < 30


def test_a_cut_network_answers_no_more_until_it_is_restored() -> None:
    with network.network() as made:
        ping = [*made.prefix, sys.executable, "-c", CONNECT]
        assert subprocess.run(ping, check=False).returncode == 1, "refused at once: somebody answers"
        made.cut()
        assert subprocess.run(ping, check=False).returncode == 2
        made.restore()
        wait_for(lambda: subprocess.run(ping, check=False).returncode == 1, "an answer over the restored line")
        assert made.slow_down() in ("netem", "tbf")
        made.speed_up()


CONNECT = f"""
import socket, sys
try:
    socket.create_connection(("{network.BROKERS[0]}", 9), timeout=2)
except ConnectionRefusedError:
    sys.exit(1)
except OSError:
    sys.exit(2)
"""


def test_a_full_disk_writes_nothing_until_it_is_freed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.path / "file").write_bytes(bytes(10_000))
        disk.free()
        (disk.path / "file").write_bytes(bytes(10_000))
