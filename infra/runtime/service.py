"""Supervises a child process: start, stop, kill, pause, resume, restart, and wait until it is ready."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sightstream.consumers.private_files import open_private
from sightstream.infra.runtime import guardian
from sightstream.infra.runtime.errors import RuntimeFailedError

TAIL_LINES = 20
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Program:
    """A command to run. `check_ready` gets a timeout in seconds and raises while the program is not ready.

    It runs in `folder`, or where this process does. `environment` is added to `inherited`, or to all of this process's
    where that is None.
    """

    name: str
    command: list[str]
    log: Path
    check_ready: Callable[[float], None]
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    inherited: Mapping[str, str] | None = None


class Service:
    """One program under a guardian process, which ends the program if this process dies."""

    def __init__(self, program: Program, lock_fd: int) -> None:
        self.program = program
        self._lock_fd = lock_fd
        self._guardian: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """The process id of the program, not of its guardian. Raises RuntimeFailedError when it does not run."""
        if not self.running:
            raise RuntimeFailedError(f"{self.program.name} is not running")
        return self._pid

    @property
    def running(self) -> bool:
        return self._guardian is not None and self._guardian.poll() is None

    def start(self) -> None:
        """Start the program and return at once. Raises RuntimeFailedError when it cannot be executed."""
        script, inherited = str(Path(guardian.__file__)), self.program.inherited
        with os.fdopen(open_private(self.program.log, os.O_WRONLY | os.O_APPEND), "ab") as log:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", script, str(self._lock_fd), *self.program.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**(os.environ if inherited is None else inherited), **self.program.environment},
                cwd=self.program.folder,
                pass_fds=[self._lock_fd],
                umask=0o077,  # its data holds what the records hold
                start_new_session=True,  # Ctrl-C at the terminal reaches only us; we end the children in order
            )
        assert self._guardian.stdout is not None  # noqa: S101 (it is a pipe)
        line = self._guardian.stdout.readline()
        if not line:
            self._guardian.wait()
            raise self._failure("cannot be started")
        self._pid = int(line)

    def wait_until_ready(self, timeout_s: float = 120.0) -> None:
        """Block until it is ready. Raises RuntimeFailedError, with the log's end, if it dies or the time is over."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if not self.running:
                raise self._failure(f"ended while starting (exit status {self._exit_status()})")
            try:
                return self.program.check_ready(min(left, 5.0))
            except Exception as error:
                last: Exception = error
            time.sleep(POLL_S)
        raise self._failure(f"did not answer within {timeout_s:.0f} s ({last})")

    def check(self) -> None:
        """Raise RuntimeFailedError, with the log's end, if the program has died."""
        if not self.running:
            raise self._failure(f"has died (exit status {self._exit_status()})")

    def wait(self) -> int:
        """Block until the program ends by itself, and return its exit status."""
        assert self._guardian is not None  # noqa: S101 (started)
        return self._guardian.wait()

    def begin_stop(self) -> None:
        """Ask the program to end, and the guardian to kill it after a grace period, without waiting."""
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()

    def stop(self) -> None:
        """End the program and block until it has ended, some seconds at most. Does nothing if it is not running."""
        if self._guardian is not None:
            with self._guardian:  # closes the pipes, then waits
                self.begin_stop()
            self._guardian = None

    def kill(self) -> None:
        """Send SIGKILL, as in a crash, and block until the program has ended."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def pause(self) -> None:
        """Send SIGSTOP: the program stays alive but does not respond."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT to a paused program."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, timeout_s: float = 120.0) -> None:
        """Stop it if it runs, start it on the same ports and data, and block until it is ready."""
        self.stop()
        self.start()
        self.wait_until_ready(timeout_s)

    def _exit_status(self) -> int | None:
        return None if self._guardian is None else self._guardian.poll()

    def _failure(self, what: str) -> RuntimeFailedError:
        lines = self.program.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        tail = "\n".join(f"  | {line}" for line in lines) or "  | (empty)"
        return RuntimeFailedError(f"{self.program.name} {what}; the end of {self.program.log}:\n{tail}")
