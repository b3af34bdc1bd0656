"""The simulated engine, which kills the whole worker, its process group, on a certain question."""

from __future__ import annotations

import os
import signal

from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated import SimulatedEngine
from sightstream.pipeline.types import EngineJob, FinishedJob

DEADLY = "kill the worker"


class DeadlyEngine(SimulatedEngine):
    """Works on a deadly question as long as on any other, and then kills instead of answering."""

    def __init__(self, settings: EngineSettings, on_progress: ProgressCallback) -> None:
        super().__init__(settings, on_progress)
        self._deadly: set[int] = set()

    def submit(self, job: EngineJob) -> None:
        if job.question == DEADLY:
            self._deadly.add(job.id)
        super().submit(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        finished = super().finished(timeout)
        if any(job.id in self._deadly for job in finished):
            os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
        return finished


def build_deadly_engine(settings: EngineSettings, on_progress: ProgressCallback) -> DeadlyEngine:
    return DeadlyEngine(settings, on_progress)
