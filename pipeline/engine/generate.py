"""The reference engine: transformers' own generate(), in batches of requests with the same options."""

from __future__ import annotations

import logging
import time
from collections import deque

import torch

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.generate_answers import GenerateAnswers, batch_key
from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Cancelled, Rejected
from sightstream.pipeline.types import EngineJob, FinishedJob
from sightstream.schemas.wire.dead_letter import Reason, Stage

log = logging.getLogger(__name__)


class GenerateEngine:
    """Runs greedy requests of one kind together, and a sampled one alone, so that its seed holds."""

    def __init__(self, checkpoint: Checkpoint, settings: EngineSettings, on_progress: ProgressCallback) -> None:
        self.identity = checkpoint.identity
        self._answers = GenerateAnswers(checkpoint, settings.batch, on_progress)
        self._max_batch = settings.batch
        self._queue: deque[EngineJob] = deque()
        self._cancelled: list[FinishedJob] = []
        self._running = 0

    def submit(self, job: EngineJob) -> None:
        self._queue.append(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        """Run one batch. Raises errors that the GPU can't recover from: the caller must then end the process."""
        cancelled, self._cancelled = self._cancelled, []
        batch = self._next_batch()
        if not batch and not cancelled:
            time.sleep(timeout)
        return cancelled + (self._run(batch) if batch else [])

    def cancel(self, job_id: int) -> None:
        for job in [job for job in self._queue if job.id == job_id]:
            self._queue.remove(job)
            self._cancelled.append(FinishedJob(job_id, Cancelled("cancelled before it started")))

    def capacity(self) -> int:
        return self._max_batch

    def running(self) -> int:
        return self._running

    def stop(self) -> None:
        self._queue.clear()

    def _next_batch(self) -> list[EngineJob]:
        """Remove and return the oldest job and those that can run with it, in order of arrival."""
        if not self._queue:
            return []
        first = self._queue[0]
        limit = 1 if first.options.temperature > 0 else self._max_batch
        batch = [job for job in self._queue if batch_key(job) == batch_key(first)][:limit]
        for job in batch:
            self._queue.remove(job)
        return batch

    def _run(self, batch: list[EngineJob]) -> list[FinishedJob]:
        """Run a batch; one that fails is run again in halves, down to the one job that can't be answered."""
        try:
            outcomes = self._answer(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise  # nothing shows that the image is the cause: a fresh process will
            torch.cuda.empty_cache()
            outcomes = self._split(batch, error)
        except (Rejected, ValueError, TypeError, IndexError, KeyError) as error:
            outcomes = self._split(batch, error)
        return outcomes

    def _split(self, batch: list[EngineJob], error: Exception) -> list[FinishedJob]:
        if len(batch) == 1 and isinstance(error, Rejected):
            return [FinishedJob(batch[0].id, error)]
        if len(batch) == 1:
            log.warning("the engine can't answer one request: %s", error, exc_info=True)
            detail = f"the model can't answer this: {type(error).__name__}"
            return [FinishedJob(batch[0].id, Rejected(Reason.ENGINE_REFUSED, Stage.INFER, detail))]
        half = len(batch) // 2
        return self._run(batch[:half]) + self._run(batch[half:])

    def _answer(self, batch: list[EngineJob]) -> list[FinishedJob]:
        self._running = len(batch)
        try:
            completions = self._answers.answer(batch)
        finally:
            self._running = 0
        return [FinishedJob(job.id, completion) for job, completion in zip(batch, completions, strict=True)]
