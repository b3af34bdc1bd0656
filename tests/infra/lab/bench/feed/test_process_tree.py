"""What a tree of processes has used."""

from __future__ import annotations

import os
import subprocess
import sys

from sightstream.infra.lab.bench.feed.process_tree import usage

# Starts a child that burns processor time and one that moves bytes, tells us, and waits.
_PARENT = """
import subprocess, sys
burn = "import time; end = time.process_time() + 0.3\\nwhile time.process_time() < end: pass"
subprocess.run([sys.executable, "-c", burn])
open("/dev/null", "wb", buffering=0).write(bytes(5_000_000))
print("done", flush=True)
sys.stdin.read()
"""


def test_children_count_also_when_they_have_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        parent.stdout.readline()
        found = usage([parent.pid])
        parent.stdin.close()
    assert found.processes == 1
    assert 0.25 < found.cpu_s < 30
    assert found.moved_bytes >= 5_000_000


def test_descendants_are_found_and_strangers_left_out() -> None:
    everything, ours = usage([1]), usage([os.getpid()])
    assert ours.processes >= 1
    assert everything.processes > ours.processes
    assert usage([2**22 + 1]).processes == 0
