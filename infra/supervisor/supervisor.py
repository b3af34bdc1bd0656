"""Keeps one worker running for each program, until it is stopped or one finds the settings wrong."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.worker import CLOSE_TIMEOUT_S
from sightstream.infra.supervisor.child import Backoff, Child
from sightstream.infra.supervisor.programs import WorkerProgram

WRONG_USE = 2  # the exit code of a command that was given wrong options or settings: a restart would change nothing
POLL_S = 0.1
KILL_TIMEOUT_S = 5.0
LEAVING_S = 5.0


def write_line(line: bytes) -> None:
    """Write a whole line to standard error at once, so that lines of several workers never mix."""
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()


def stop_timeout_s(settings: WorkerSettings) -> float:
    """Return how long a worker may need to finish, to commit and to leave its group."""
    return settings.drain_timeout_s + settings.transaction_timeout_s + CLOSE_TIMEOUT_S + LEAVING_S


class Supervisor:
    """`run` blocks until `stop` is called, from a signal handler or another thread, or all workers have left."""

    def __init__(
        self,
        programs: Sequence[WorkerProgram],
        stop_timeout_s: float,
        backoff: Backoff | None = None,
        write: Callable[[bytes], object] = write_line,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Workers that do not end within `stop_timeout_s` of being asked to are killed."""
        self._children = [Child(program, backoff or Backoff(), clock, write) for program in programs]
        self._stop_timeout_s, self._clock = stop_timeout_s, clock
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> int:
        """Return the exit code: 0, or 2 when a worker reports wrong use or settings."""
        try:
            while not (self._stopping.is_set() or self._is_wrong or all(child.has_left for child in self._children)):
                for child in self._children:
                    child.supervise()
                self._stopping.wait(POLL_S)
        finally:
            self._end_all()
        return WRONG_USE if self._is_wrong else 0

    @property
    def _is_wrong(self) -> bool:
        return any(child.exit_code == WRONG_USE for child in self._children)

    def _end_all(self) -> None:
        """Let all finish what they have begun at the same time; kill those that do not end."""
        self._signal_all(signal.SIGTERM, self._stop_timeout_s)
        self._signal_all(signal.SIGKILL, KILL_TIMEOUT_S)

    def _signal_all(self, number: signal.Signals, timeout_s: float) -> None:
        for child in self._children:
            child.signal(number)
        deadline = self._clock() + timeout_s
        for child in self._children:
            child.wait(deadline - self._clock())
