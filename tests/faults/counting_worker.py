"""`sightstream worker`, on a simulated engine that notes each answer in a file: how often was an image computed?

    python -m tests.faults.counting_worker

The file's path comes in the environment. The engine's process appends one line, the question's last word, for every
answer that it has computed; the file outlives whatever kills the processes.
"""

from __future__ import annotations

import os
import sys
from functools import partial

import sightstream.pipeline.build as flow_builder
from sightstream.infra.cli.app import main
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.protocol import Engine, ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated import SimulatedEngine
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob

LOG_VARIABLE = "FAULTS_INFERENCE_LOG"


class CountingEngine(SimulatedEngine):
    """Notes each answer before it hands it on."""

    def __init__(self, settings: EngineSettings, on_progress: ProgressCallback) -> None:
        super().__init__(settings, on_progress)
        self._names: dict[int, str] = {}
        self._log = os.open(os.environ[LOG_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def submit(self, job: EngineJob) -> None:
        self._names[job.id] = job.question.rsplit(" ", 1)[-1]
        super().submit(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        found = super().finished(timeout)
        names = [(self._names.pop(each.id), isinstance(each.outcome, Completion)) for each in found]
        if lines := "".join(f"{name}\n" for name, is_answered in names if is_answered):
            os.write(self._log, lines.encode())
        return found


def build_counting(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    return CountingEngine(settings, on_progress)


if __name__ == "__main__":
    setattr(flow_builder, "EngineHost", partial(EngineHost, factory=build_counting))  # noqa: B010 - a class there
    sys.argv[1:] = ["worker"]
    main()
