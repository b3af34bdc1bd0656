"""The supervisor with real processes: small programs in place of workers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sightstream.infra.supervisor.child import Backoff, labelled
from sightstream.infra.supervisor.programs import WorkerProgram
from sightstream.infra.supervisor.supervisor import Supervisor
from tests.consumers.waiting import wait_for

SOON = Backoff(first_s=0.01, most_s=0.02)
LEAVES_ON_SIGTERM = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("leaving", flush=True), sys.exit(0)))
print("ready", flush=True)
while True: signal.pause()
"""
IGNORES_SIGTERM = """
import json
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True: signal.pause()
"""


def program(label: str, script: str, **environment: str) -> WorkerProgram:
    return WorkerProgram(label, [sys.executable, "-I", "-c", script], environment)


class Run:
    """A supervisor on a thread of its own, and the lines that it writes."""

    def __init__(self, *programs: WorkerProgram, stop_timeout_s: float = 30, backoff: Backoff = SOON) -> None:
        self.lines: list[bytes] = []
        self.exit_code: int | None = None
        self.supervisor = Supervisor(programs, stop_timeout_s, backoff, self.lines.append)
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.exit_code = self.supervisor.run()

    def count(self, line: bytes) -> int:
        return self.lines.count(line)


@contextmanager
def running(*programs: WorkerProgram, stop_timeout_s: float = 30) -> Iterator[Run]:
    """Let it run; at the end it is stopped and has ended."""
    run = Run(*programs, stop_timeout_s=stop_timeout_s)
    run.thread.start()
    try:
        yield run
    finally:
        run.supervisor.stop()
        run.thread.join()


def ended(run: Run) -> Callable[[], bool]:
    return lambda: not run.thread.is_alive()


def test_a_line_of_json_stays_json_with_its_label() -> None:
    assert json.loads(labelled("gpu 0", b'{"event": "x"}')) == {"worker": "gpu 0", "event": "x"}
    assert labelled("gpu 0", b"{a set}") == b"gpu 0 | {a set}"


def test_each_worker_has_its_own_environment_and_its_lines_a_label() -> None:
    script = "import os; print(os.environ['CUDA_VISIBLE_DEVICES']); print('no end of line', end='')"
    both = [program(f"gpu {gpu}", script, CUDA_VISIBLE_DEVICES=str(gpu)) for gpu in (0, 1)]
    with running(*both) as run:
        wait_for(ended(run))  # all have left by themselves, with 0
    assert sorted(run.lines) == sorted(
        line for gpu in (b"0", b"1") for line in (b"gpu %s | %s\n" % (gpu, gpu), b"gpu %s | no end of line\n" % gpu)
    )
    assert run.exit_code == 0


def test_a_worker_that_dies_is_started_again_and_the_other_goes_on() -> None:
    with running(
        program("dies", "print('here', flush=True); raise SystemExit(1)"), program("stays", LEAVES_ON_SIGTERM)
    ) as run:
        wait_for(lambda: run.count(b"dies | here\n") >= 3)
        wait_for(lambda: run.count(b"stays | ready\n"))
    assert run.count(b"stays | ready\n") == run.count(b"stays | leaving\n") == 1
    assert run.exit_code == 0


def test_wrong_settings_of_one_end_all() -> None:
    with running(program("stays", LEAVES_ON_SIGTERM), program("wrong", "raise SystemExit(2)")) as run:
        wait_for(ended(run))
        assert run.exit_code == 2


def test_a_worker_that_does_not_stop_is_killed() -> None:
    with running(program("stays", IGNORES_SIGTERM), stop_timeout_s=0.2) as run:
        wait_for(lambda: run.count(b"stays | ready\n"))
    assert run.exit_code == 0


SUPERVISES = """
import sys
from pathlib import Path
from sightstream.infra.supervisor.programs import WorkerProgram
from sightstream.infra.supervisor.supervisor import Supervisor
Supervisor([WorkerProgram("w", [sys.executable, "-I", "-c", sys.argv[1]], {})], 30).run()
"""


def test_workers_of_a_killed_supervisor_are_asked_to_stop(tmp_path: Path) -> None:
    left = tmp_path / "left"
    worker = f"""
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (open({str(left)!r}, "w").close(), os._exit(0)))
print("ready", flush=True)
while True: signal.pause()
"""
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISES, worker], stderr=subprocess.PIPE)
    with supervisor:
        assert supervisor.stderr is not None
        assert supervisor.stderr.readline() == b"w | ready\n"
        supervisor.send_signal(signal.SIGKILL)
    wait_for(left.exists)
