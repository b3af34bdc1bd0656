"""Simulates an engine without a model, with faults on request, for tests, planning and benchmarks."""

from __future__ import annotations

import os
import time
from collections import deque

from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated_answer import simulated_answer
from sightstream.pipeline.errors import Cancelled, CapabilityMissing, PipelineError, Rejected
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.result import ModelIdentity

# A question that starts with one of these makes the engine fail, as a real one would on a poison image. Those that
# make an answer bad stand in simulated_answer.
CRASH, HANG, REFUSE = "simulate: crash", "simulate: hang", "simulate: refuse"
# "simulate: seconds 0.8" takes that long, so that answers come in another order than their requests.
SECONDS = "simulate: seconds "


class SimulatedEngine:
    """Answers up to a batch at once, each in `simulated_s` or as its question says; the text depends on the pixels."""

    def __init__(self, settings: EngineSettings, on_progress: ProgressCallback) -> None:
        self._settings = settings
        self._on_progress = on_progress
        self._queue: deque[EngineJob] = deque()
        self._started: dict[int, tuple[float, EngineJob]] = {}  # by id: when it is due
        self._cancelled: list[FinishedJob] = []
        self.identity = ModelIdentity(name="simulated", quantization="none", engine="simulated")

    def submit(self, job: EngineJob) -> None:
        self._queue.append(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        self._start_queued()
        time.sleep(min([timeout, *(max(0.0, due - time.monotonic()) for due, _ in self._started.values())]))
        self._on_progress()
        cancelled, self._cancelled = self._cancelled, []
        return cancelled + [FinishedJob(job.id, _outcome(job)) for job in self._due()]

    def _start_queued(self) -> None:
        while self._queue and len(self._started) < self._settings.batch:
            job = self._queue.popleft()
            self._started[job.id] = (time.monotonic() + _seconds(job, self._settings.simulated_s), job)

    def _due(self) -> list[EngineJob]:
        now = time.monotonic()
        due = [job for at, job in self._started.values() if at <= now]
        for job in due:
            del self._started[job.id]
        return due

    def cancel(self, job_id: int) -> None:
        for job in [job for job in self._queue if job.id == job_id]:
            self._queue.remove(job)
            self._cancelled.append(FinishedJob(job_id, Cancelled("cancelled before it started")))

    def capacity(self) -> int:
        return self._settings.batch

    def running(self) -> int:
        return len(self._started)

    def stop(self) -> None:
        self._queue.clear()
        self._started.clear()


def _seconds(job: EngineJob, otherwise: float) -> float:
    """Return how long the answer takes: what stands behind SECONDS, up to the next space; no time for the canary."""
    if job.checks_logits:
        return 0.0
    words = job.question.removeprefix(SECONDS).split(" ", 1)
    return float(words[0]) if job.question.startswith(SECONDS) else otherwise


def _outcome(job: EngineJob) -> Completion | PipelineError:
    if job.question.startswith(CRASH):
        os._exit(70)
    if job.question.startswith(HANG):
        time.sleep(3600)
    if job.question.startswith(REFUSE):
        return Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "refused as asked")
    try:
        return simulated_answer(job)
    except CapabilityMissing as error:
        return error
