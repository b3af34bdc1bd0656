"""The engine that asks an OpenAI-compatible server, with one thread per question in flight."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.remote.client import ModelClient, pixels_of
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Cancelled, Fatal, Retryable
from sightstream.pipeline.shortage import shortage
from sightstream.pipeline.types import EngineJob, FinishedJob
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.result import ModelIdentity


class RemoteEngine:
    """Asks `max_batch` questions at once, each on a thread; the others wait here. Thread safe.

    While the server does not answer, jobs end as Retryable. No question is sent while the server asked us to wait.
    """

    def __init__(
        self, settings: EngineSettings, on_progress: ProgressCallback, clock: Callable[[], float] = time.time
    ) -> None:
        """Blocks until the server has answered once, `start_timeout_s` at most. Raises Fatal with what to change."""
        self._settings, self._on_progress = settings, on_progress
        self._client = ModelClient(settings, on_progress, clock)
        self.identity = ModelIdentity(
            name=settings.model_name or self._client.model,
            revision=settings.revision,
            quantization="unknown",
            engine="remote",
        )
        self._waiting: dict[int, EngineJob] = {}
        self._asked = 0
        self._change = threading.Condition()
        self._finished_jobs: queue.SimpleQueue[FinishedJob] = queue.SimpleQueue()
        self._fatal: Fatal | None = None
        self._stopping = False
        for number in range(self.capacity()):
            threading.Thread(target=self._work, name=f"ask-{number}", daemon=True).start()

    def submit(self, job: EngineJob) -> None:
        """Raises TypeError for a canvas."""
        pixels_of(job)
        with self._change:
            self._waiting[job.id] = job
            self._change.notify()

    def finished(self, timeout: float) -> list[FinishedJob]:
        finished: list[FinishedJob] = []
        with contextlib.suppress(queue.Empty):
            finished.append(self._finished_jobs.get(timeout=timeout))
            while True:
                finished.append(self._finished_jobs.get_nowait())
        if finished:
            self._on_progress()  # not on the threads: the callback need not be thread safe
        elif self._fatal:
            raise self._fatal
        return finished

    def cancel(self, job_id: int) -> None:
        with self._change:
            waited = self._waiting.pop(job_id, None)
        if waited is not None:
            self._finished_jobs.put(FinishedJob(job_id, Cancelled("cancelled before it started")))

    def capacity(self) -> int:
        return self._settings.batch

    def running(self) -> int:
        return self._asked

    def stop(self) -> None:
        """Stop asking; answers to questions in flight are dropped when they come."""
        with self._change:
            self._stopping = True
            self._change.notify_all()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._finished_jobs.put(FinishedJob(job.id, self._client.outcome(job)))
            except Fatal as error:
                self._fatal = error
                self.stop()
            except Exception as error:  # one job must not end the thread, which has others to ask
                problem = shortage(error, Stage.INFER) or Retryable(Stage.INFER, f"unexpected {type(error).__name__}")
                self._finished_jobs.put(FinishedJob(job.id, problem))
            finally:
                with self._change:
                    self._asked -= 1

    def _next(self) -> EngineJob | None:
        """Block until the server may be asked and return the oldest job; None when there will be no more."""
        with self._change:
            while not self._stopping:
                pause_s = self._client.pause_s
                if self._waiting and pause_s <= 0:
                    self._asked += 1
                    return self._waiting.pop(next(iter(self._waiting)))
                self._change.wait(pause_s if self._waiting else None)
        return None
