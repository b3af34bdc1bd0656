"""A supervised child process: start, stop, kill, pause, resume, restart; ready when it really answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sightstream.infra.runtime import guardian
from sightstream.infra.runtime.errors import RuntimeFailedError

TAIL_LINES = 20
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to tell that it answers."""

    name: str
    command: list[str]
    log: Path
    answers: Callable[[float], None]  # given seconds at most; raises anything while it does not answer
    environment: dict[str, str] = field(default_factory=dict)


class Service:
    """One program under a guardian that outlives us just long enough to end it."""

    def __init__(self, program: Program, lock_fd: int) -> None:
        self.program = program
        self._lock_fd = lock_fd
        self._guardian: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """The program's own process id (not the guardian's). Raises RuntimeFailedError when it does not run."""
        if not self.running:
            raise RuntimeFailedError(f"{self.program.name} is not running")
        return self._pid

    @property
    def running(self) -> bool:
        return self._guardian is not None and self._guardian.poll() is None

    def start(self) -> None:
        """Starts the program and returns at once. Raises RuntimeFailedError when it cannot be executed."""
        script = str(Path(guardian.__file__))
        with self.program.log.open("ab") as log:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", script, str(self._lock_fd), *self.program.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | self.program.environment,
                pass_fds=[self._lock_fd],
                start_new_session=True,  # a Ctrl-C at the terminal is for us; we end the children in order
            )
        assert self._guardian.stdout is not None  # noqa: S101 (it is a pipe)
        line = self._guardian.stdout.readline()
        if not line:
            self._guardian.wait()
            raise self._failure("cannot be started")
        self._pid = int(line)

    def wait_until_ready(self, timeout_s: float = 120.0) -> None:
        """Blocks until it answers. Raises RuntimeFailedError, with the log's end, when it dies or time is up."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if not self.running:
                raise self._failure(f"ended while starting (exit status {self._exit_status()})")
            try:
                return self.program.answers(min(left, 5.0))
            except Exception as error:
                last: Exception = error
            time.sleep(POLL_S)
        raise self._failure(f"did not answer within {timeout_s:.0f} s ({last})")

    def check(self) -> None:
        """Raises RuntimeFailedError, with the log's end, when the program has died."""
        if not self.running:
            raise self._failure(f"has died (exit status {self._exit_status()})")

    def begin_stop(self) -> None:
        """Asks the program to end (and the guardian to kill it after a grace) without waiting for it."""
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()

    def stop(self) -> None:
        """Ends the program; blocks until it is gone, some seconds at most. Harmless when it is not running."""
        if self._guardian is not None:
            with self._guardian:  # closes the pipes, then waits
                self.begin_stop()
            self._guardian = None

    def kill(self) -> None:
        """SIGKILL, as a crash would; blocks until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def pause(self) -> None:
        """SIGSTOP: alive, but answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, timeout_s: float = 120.0) -> None:
        """Stops it if it runs, starts it on the same ports and data, blocks until it answers."""
        self.stop()
        self.start()
        self.wait_until_ready(timeout_s)

    def _exit_status(self) -> int | None:
        return None if self._guardian is None else self._guardian.poll()

    def _failure(self, what: str) -> RuntimeFailedError:
        lines = self.program.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        tail = "\n".join(f"  | {line}" for line in lines) or "  | (empty)"
        return RuntimeFailedError(f"{self.program.name} {what}; the end of {self.program.log}:\n{tail}")
