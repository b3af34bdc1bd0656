"""The engine that asks an OpenAI-compatible server, on as many threads as it asks questions at once."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.remote.client import ModelClient, pixels_of
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Cancelled, Fatal
from sightstream.pipeline.types import EngineJob, FinishedJob
from sightstream.schemas.wire.result import ModelIdentity


class RemoteEngine:
    """Thread safe. Asks `max_batch` questions at once, each on a thread; the others wait here.

    While the server does not answer, jobs end as Retryable. None is asked while it wants to be left alone.
    """

    def __init__(
        self, settings: EngineSettings, beat: ProgressCallback, clock: Callable[[], float] = time.time
    ) -> None:
        """Blocks until the server has answered once, `start_timeout_s` at most. Raises Fatal with what to change."""
        self._settings, self._beat = settings, beat
        self._client = ModelClient(settings, beat, clock)
        self.identity = ModelIdentity(
            name=settings.model_name or self._client.model,
            revision=settings.revision,
            quantization="unknown",
            engine="remote",
        )
        self._waiting: dict[int, EngineJob] = {}
        self._change = threading.Condition()
        self._endings: queue.SimpleQueue[FinishedJob] = queue.SimpleQueue()
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
        found: list[FinishedJob] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._endings.get(timeout=timeout))
            while True:
                found.append(self._endings.get_nowait())
        if found:
            self._beat()  # here and not on the threads: it may not be thread safe
        elif self._fatal:
            raise self._fatal
        return found

    def cancel(self, job_id: int) -> None:
        with self._change:
            waited = self._waiting.pop(job_id, None)
        if waited is not None:
            self._endings.put(FinishedJob(job_id, Cancelled("cancelled before it started")))

    def capacity(self) -> int:
        return self._settings.batch

    def stop(self) -> None:
        """What was asked already goes on until the server answers, and is dropped."""
        with self._change:
            self._stopping = True
            self._change.notify_all()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._endings.put(FinishedJob(job.id, self._client.outcome(job)))
            except Fatal as error:
                self._fatal = error
                self.stop()

    def _next(self) -> EngineJob | None:
        """The oldest job, once the server may be asked; None: there will be no more."""
        with self._change:
            while not self._stopping:
                pause_s = self._client.pause_s
                if self._waiting and pause_s <= 0:
                    return self._waiting.pop(next(iter(self._waiting)))
                self._change.wait(pause_s if self._waiting else None)
        return None
