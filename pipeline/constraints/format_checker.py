"""Checks response formats in a process of its own: whatever a schema makes its compiler do, it ends in time."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
from functools import lru_cache
from multiprocessing.connection import Connection

from sightstream.pipeline.child_environment import LOADER, module_environment
from sightstream.pipeline.child_signals import stops_deferred, was_killed
from sightstream.pipeline.constraints.format_key import FormatKey, json_of
from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.own_parts import LOCAL_RESOURCES
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.response_format import ResponseFormat, SectionsFormat

log = logging.getLogger(__name__)

REMEMBERED = 1024
# The slowest of hundreds of hostile schemas takes 0.2 s.
CPU_S = 1.0
MEMORY_BYTES = 1 << 30
# A second of CPU time takes many where the machine is busy.
TIMEOUT_S = 60.0


class FormatChecker:
    """Threads may use it together; formats are checked one at a time. The process starts with the first of them."""

    def __init__(self, cpu_s: float = CPU_S, memory_bytes: int = MEMORY_BYTES) -> None:
        """One format may cost so many seconds of CPU time, and all of them so many bytes."""
        self._cpu_s, self._memory_bytes = cpu_s, memory_bytes
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._problem = lru_cache(REMEMBERED)(self._find_problem)

    def check(self, response_format: ResponseFormat) -> None:
        """Raise Rejected (schema_unusable) when no answer can be held to the format, or checked against it.

        Blocks for milliseconds when the format is new, and while others are checked. Raises Retryable when this machine
        can't run the process. Never dials, whatever the format refers to.
        """
        if isinstance(response_format, SectionsFormat):
            return
        if problem := self._problem(FormatKey(response_format)):
            raise unusable(problem)

    def stop(self) -> None:
        """End the process."""
        with self._lock:
            if self._process is not None:
                self._process.end()
                self._process = None

    def _find_problem(self, key: FormatKey) -> str:
        with self._lock:
            if self._process is None:
                self._process = _start(self._cpu_s, self._memory_bytes)
            try:
                return self._process.ask(json_of(key.response_format))
            except (EOFError, OSError):
                code = self._process.end()
                self._process = None
                return self._why_ended(code)

    def _why_ended(self, code: int) -> str:
        """Return what the format did to the process. Raises Retryable where that was not the format's doing."""
        log.warning("the process that checks response formats ended with code %s", code)
        if code == -signal.SIGPROF:
            return f"compiling it takes more than {self._cpu_s:g} s of CPU time; write a simpler schema"
        if was_killed(code):
            raise _unavailable("was killed, or did not answer")
        return "compiling it fails, or takes too much memory; write a simpler schema"


def _unavailable(what: str) -> Retryable:
    return Retryable(Stage.TAKE, f"the process that checks response formats {what}", LOCAL_RESOURCES)


def _start(cpu_s: float, memory_bytes: int) -> _Process:
    """Raises Retryable where the machine can't start it."""
    try:
        process = _Process(cpu_s, memory_bytes)
    except OSError as error:
        raise _unavailable(f"can't be started: {error.strerror or error}") from None
    try:
        process.receive()
    except (EOFError, OSError):
        raise _unavailable(f"did not start, and ended with code {process.end()}") from None
    return process


class _Process:
    """The child, and a pipe to it."""

    def __init__(self, cpu_s: float, memory_bytes: int) -> None:
        """Blocks for nothing: `receive` its first message, which is empty. Raises OSError."""
        ours, theirs = socket.socketpair()
        self._pipe = Connection(ours.detach())
        with theirs, stops_deferred():
            module = "sightstream.pipeline.constraints.format_check_child"
            self._child = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, (theirs.fileno(), cpu_s, memory_bytes))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # a hostile schema may stand in what it says
                env=module_environment(LOADER),
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )

    def ask(self, format_json: bytes) -> str:
        """Return what is wrong with the format, "" for nothing. Raises EOFError or OSError when the process ends."""
        self._pipe.send_bytes(format_json)
        return self.receive().decode()

    def receive(self) -> bytes:
        if not self._pipe.poll(TIMEOUT_S):
            raise TimeoutError
        return self._pipe.recv_bytes()

    def end(self) -> int:
        """Kill the process and return its exit code: its own where it has ended already."""
        self._child.kill()
        self._pipe.close()
        return self._child.wait()
