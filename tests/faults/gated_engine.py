"""The simulated engine with a gate before some of its answers, and a log of all that it infers.

It runs in the engine's own process, so the log counts inferences where they happen, whatever the worker believes.
"""

from __future__ import annotations

from pathlib import Path

from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated import SimulatedEngine
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob

HOLD = "hold: "  # a question that starts so is answered once the gate is open


class GatedEngine(SimulatedEngine):
    """Logs `held QUESTION` for what waits at the gate and `inferred QUESTION` for what was answered."""

    def __init__(self, gate: Path, log: Path, settings: EngineSettings, on_progress: ProgressCallback) -> None:
        super().__init__(settings, on_progress)
        self._gate, self._log = gate, log
        self._held: list[EngineJob] = []
        self._questions: dict[int, str] = {}

    def submit(self, job: EngineJob) -> None:
        self._questions[job.id] = job.question
        if job.question.startswith(HOLD):
            self._held.append(job)
            self._write("held", job.question)
        else:
            super().submit(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        if self._held and self._gate.exists():
            for held in self._held:
                super().submit(held)
            self._held.clear()
        finished = super().finished(timeout)
        for job in finished:
            question = self._questions.pop(job.id)
            if isinstance(job.outcome, Completion):
                self._write("inferred", question)
        return finished

    def cancel(self, job_id: int) -> None:
        for job in [job for job in self._held if job.id == job_id]:
            self._held.remove(job)
            super().submit(job)
        super().cancel(job_id)

    def _write(self, event: str, question: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{event} {question}\n")


def build_gated_engine(gate: Path, log: Path, settings: EngineSettings, on_progress: ProgressCallback) -> GatedEngine:
    """Build the engine; `gate` is the file that opens the gate."""
    return GatedEngine(gate, log, settings, on_progress)
