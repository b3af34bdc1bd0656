"""One engine process with the pipe to it, from its start to the reason of its end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys

from sightstream.pipeline.child_environment import ENGINE, module_environment
from sightstream.pipeline.child_signals import stops_deferred, was_killed
from sightstream.pipeline.engine.build import EngineFactory
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.memory_file import MemoryFile


class EngineProcess:
    """Starts the process. Raises OSError, with nothing left open, where the machine can't.

    It is not one of multiprocessing's, which would give it, and a process that counts its resources, the whole
    environment. `end_is_known` says that we end it, or that it told why it ends: then a signal that ended it says
    nothing more. `is_short` says that it told of a machine out of memory or the like.
    """

    def __init__(self, settings: EngineSettings, factory: EngineFactory, memory: MemoryFile | None) -> None:
        self.end_is_known = self.is_short = False
        self.pipe, child_end = multiprocessing.Pipe()
        with contextlib.ExitStack() as on_failure, child_end:
            on_failure.callback(self.pipe.close)
            lifeline, self._lifeline = os.pipe()
            on_failure.callback(os.close, self._lifeline)
            try:
                self._process = _start(child_end.fileno(), lifeline, memory)
            finally:
                os.close(lifeline)
            on_failure.pop_all()
        with contextlib.suppress(OSError):  # it is dead already, which the host will see
            self.pipe.send((settings, factory))

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End it; this also frees a thread that is stuck in the pipe."""
        self.end_is_known = True
        self._process.kill()

    def replace(self) -> None:
        """End it as a kill from outside does, so that no job is blamed."""
        self._process.kill()

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended, `timeout_s` at most."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)

    def end(self) -> tuple[int, bool]:
        """End what is left of it. Return its exit code, and whether the cause was outside: a signal or a shortage.

        A process whose pipe has closed keeps its own exit code through the kill.
        """
        self._process.kill()
        code = self._process.wait()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        return code, self.is_short or (was_killed(code) and not self.end_is_known)


def _start(pipe: int, lifeline: int, memory: MemoryFile | None) -> subprocess.Popen[bytes]:
    handles = [pipe, lifeline, *([] if memory is None else [memory.fileno()])]
    with stops_deferred():
        return subprocess.Popen(
            [sys.executable, "-m", "sightstream.pipeline.engine.child_main", *map(str, handles)],
            stdin=subprocess.DEVNULL,
            env=module_environment(ENGINE),
            pass_fds=handles,
        )
