"""An engine with a gate before some of its answers, and a log of all that it infers.

It runs in the engine's own process, so the log counts inferences where they happen, whatever the worker believes. It
outlives whatever kills the processes.
"""

from __future__ import annotations

import os
from pathlib import Path

from sightstream.pipeline.engine.build import build_engine
from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB
from sightstream.pipeline.engine.protocol import Engine, ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob
from sightstream.schemas.wire.result import ModelIdentity

HOLD = "hold: "  # a question that starts so is answered once the gate is open
INFERRED = "inferred "


class GatedEngine:
    """Logs `held QUESTION` for what waits at the gate and `inferred QUESTION` for what was answered."""

    def __init__(self, gate: Path, log: Path, engine: Engine) -> None:
        self._gate, self._engine = gate, engine
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._held: list[EngineJob] = []
        self._questions: dict[int, str] = {}

    @property
    def identity(self) -> ModelIdentity:
        return self._engine.identity

    def submit(self, job: EngineJob) -> None:
        if job.id != HEALTH_CHECK_JOB.id:
            self._questions[job.id] = job.question
        if job.question.startswith(HOLD):
            self._held.append(job)
            os.write(self._log, f"held {job.question}\n".encode())
        else:
            self._engine.submit(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        if self._held and self._gate.exists():
            for held in self._held:
                self._engine.submit(held)
            self._held.clear()
        finished = self._engine.finished(timeout)
        asked = [job for job in finished if job.id in self._questions]
        questions = [(self._questions.pop(job.id), isinstance(job.outcome, Completion)) for job in asked]
        if lines := "".join(f"{INFERRED}{question}\n" for question, is_answered in questions if is_answered):
            os.write(self._log, lines.encode())
        return finished

    def cancel(self, job_id: int) -> None:
        for job in [job for job in self._held if job.id == job_id]:
            self._held.remove(job)
            self._engine.submit(job)
        self._engine.cancel(job_id)

    def capacity(self) -> int:
        return self._engine.capacity()

    def running(self) -> int:
        return self._engine.running()

    def stop(self) -> None:
        self._engine.stop()


def build_gated_engine(gate: Path, log: Path, settings: EngineSettings, on_progress: ProgressCallback) -> GatedEngine:
    """Build the engine of the settings; `gate` is the file that opens the gate."""
    return GatedEngine(gate, log, build_engine(settings, on_progress))
