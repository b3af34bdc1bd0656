"""The simulated engine, which notes each answer in a file: how often was an image computed?

It appends one line, the question's last word, for every answer that it has computed; the file outlives whatever kills
the processes.
"""

from __future__ import annotations

import os

from sightstream.pipeline.engine.protocol import Engine, ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated import SimulatedEngine
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob


class CountingEngine(SimulatedEngine):
    """Notes each answer before it hands it on."""

    def __init__(self, log: str, settings: EngineSettings, on_progress: ProgressCallback) -> None:
        super().__init__(settings, on_progress)
        self._names: dict[int, str] = {}
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def submit(self, job: EngineJob) -> None:
        self._names[job.id] = job.question.rsplit(" ", 1)[-1]
        super().submit(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        found = super().finished(timeout)
        names = [(self._names.pop(each.id), isinstance(each.outcome, Completion)) for each in found]
        if lines := "".join(f"{name}\n" for name, is_answered in names if is_answered):
            os.write(self._log, lines.encode())
        return found


def build_counting(log: str, settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    return CountingEngine(log, settings, on_progress)
