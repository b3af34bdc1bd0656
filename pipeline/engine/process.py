"""One engine process with the pipe to it, from its start to the reason of its end."""

from __future__ import annotations

import contextlib
import multiprocessing
from multiprocessing import resource_tracker

from sightstream.pipeline.child_signals import stops_deferred, was_killed
from sightstream.pipeline.engine.build import EngineFactory
from sightstream.pipeline.engine.child import serve
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.memory_file import MemoryFile

_spawn = multiprocessing.get_context("spawn")


class EngineProcess:
    """Starts the process. Raises OSError, with nothing left open, where the machine can't.

    `end_is_known` says that we end it, or that it told why it ends: then a signal that ended it says nothing more.
    `is_short` says that it told of a machine out of memory or the like.
    """

    def __init__(self, settings: EngineSettings, factory: EngineFactory, memory: MemoryFile | None) -> None:
        self.end_is_known = self.is_short = False
        self.pipe, child_end = _spawn.Pipe()
        self._process = _spawn.Process(
            target=serve, args=(child_end, settings, factory, memory), name="sightstream-engine", daemon=True
        )
        with contextlib.ExitStack() as on_failure, child_end:
            on_failure.callback(self.pipe.close)
            resource_tracker.ensure_running()  # its start would unblock the signals
            with stops_deferred():
                self._process.start()
            on_failure.pop_all()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """End it; this also frees a thread that is stuck in the pipe."""
        self.end_is_known = True
        self._process.kill()

    def wait(self, timeout_s: float) -> None:
        """Wait until it has ended, `timeout_s` at most."""
        self._process.join(timeout_s)

    def end(self) -> tuple[int, bool]:
        """End what is left of it. Return its exit code, and whether the cause was outside: a signal or a shortage.

        A process whose pipe has closed keeps its own exit code through the kill.
        """
        self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        return code, self.is_short or (was_killed(code) and not self.end_is_known)
