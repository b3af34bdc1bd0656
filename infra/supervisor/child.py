"""One supervised worker: its process, its lines with a label before them, and when it is started again."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sightstream.infra.supervisor import tether
from sightstream.infra.supervisor.programs import WorkerProgram

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 64 * 1024
LAST_LINES_S = 1.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before a restart: `first_s`, twice as long each time up to `most_s`, anew after `healthy_s` of work."""

    first_s: float = 1
    most_s: float = 60
    healthy_s: float = 60


class Child:
    """For one thread. `clock` gives seconds that only grow; `write` gets whole lines, from another thread."""

    def __init__(
        self, program: WorkerProgram, backoff: Backoff, clock: Callable[[], float], write: Callable[[bytes], object]
    ) -> None:
        self._program, self._backoff, self._clock, self._write = program, backoff, clock, write
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: threading.Thread | None = None
        self._started_at = self._start_at = clock()
        self._pause_s = backoff.first_s
        self.exit_code: int | None = None

    @property
    def has_left(self) -> bool:
        """Whether it ended because somebody asked it to; it is not started again."""
        return self.exit_code == 0

    def supervise(self) -> None:
        """Start it when that is due, and note its end. Never blocks for long."""
        if self._process is not None:
            self._note_end(self._process)
        elif not self.has_left and self._clock() >= self._start_at:
            self._start()

    def _start(self) -> None:
        self.exit_code, self._started_at = None, self._clock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(tether.__file__)), str(os.getpid()), *self._program.command],
            env=os.environ | dict(self._program.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C at the terminal reaches the supervisor alone, which asks every worker to stop
        )
        self._lines = threading.Thread(target=self._forward, args=(self._process.stdout,), daemon=True)
        self._lines.start()

    def _note_end(self, process: subprocess.Popen[bytes]) -> None:
        self.exit_code = process.poll()
        if self.exit_code is None:
            return
        self._process = None
        if self._clock() - self._started_at >= self._backoff.healthy_s:
            self._pause_s = self._backoff.first_s
        self._start_at = self._clock() + self._pause_s
        if not self.has_left:
            log.warning("%s ended with %s, next start in %g s", self._program.label, self.exit_code, self._pause_s)
        self._pause_s = min(2 * self._pause_s, self._backoff.most_s)

    def _forward(self, lines: IO[bytes]) -> None:
        with lines:
            while line := lines.readline(MAX_LINE_BYTES):
                self._write(labelled(self._program.label, line.rstrip(b"\n")) + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker itself, if it runs; its children follow it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def wait(self, timeout_s: float) -> None:
        """Wait for its end, and for its last lines."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.exit_code = self._process.wait(max(0.0, timeout_s))
        if self._lines is not None:
            self._lines.join(LAST_LINES_S)


def labelled(label: str, line: bytes) -> bytes:
    """Put the label before a line; a line of JSON has it as `worker`, so that it stays JSON."""
    if line.startswith(b'{"'):
        return b'{"worker": "' + label.encode() + b'", ' + line[1:]
    return f"{label} | ".encode() + line
