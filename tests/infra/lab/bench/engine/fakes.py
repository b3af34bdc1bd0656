"""An engine and a decoder that follow a clock which tests move."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from sightstream.pipeline.errors import Cancelled, PipelineError
from sightstream.pipeline.types import Canvas, Completion, EngineJob, FinishedJob, Pixels
from sightstream.schemas.wire.result import ModelIdentity

PIXELS = Pixels(bytes(3), 1, 1, "JPEG")


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeDecoder:
    """Counts what is lent out."""

    lent: int = 0
    seen: list[bytes] = field(default_factory=list)

    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        self.lent += 1
        self.seen.append(data)
        return PIXELS

    def release(self, pixels: Pixels | Canvas) -> None:
        self.lent -= 1


class AtOnce(Executor):
    """Does what it is given before it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class FakeEngine:
    """`slots` answers at once, a token each every `step_s`; each call of `finished` with work in hand is one step."""

    identity = ModelIdentity(name="fake", quantization="none", engine="fake")

    def __init__(
        self,
        clock: Clock,
        slots: int = 4,
        step_s: float = 0.5,
        error: PipelineError | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock, self._slots, self._step_s, self._error = clock, slots, step_s, error
        self._waiting: list[EngineJob] = []
        self._running: dict[int, int] = {}
        self._cancelled: list[int] = []
        self._beat = beat
        self.asked: dict[int, int] = {}
        self.most_held = 0
        self.steps = 0
        self.stopped = False

    def submit(self, job: EngineJob) -> None:
        self._waiting.append(job)
        self.most_held = max(self.most_held, len(self._waiting) + len(self._running))

    def finished(self, timeout: float) -> list[FinishedJob]:
        self._clock.now += self._step_s if self._waiting or self._running else timeout
        ended = [FinishedJob(job_id, Cancelled("cancelled")) for job_id in self._cancelled]
        self._cancelled.clear()
        while self._waiting and len(self._running) < self._slots:
            job = self._waiting.pop(0)
            self._running[job.id] = job.options.max_tokens
            self.asked[job.id] = job.options.max_tokens
        if self._running:
            self.steps += 1
            self._beat()
        for job_id in list(self._running):
            self._running[job_id] -= 1
            if not self._running[job_id]:
                del self._running[job_id]
                said = Completion("text", "length", 5, self.asked[job_id])
                ended.append(FinishedJob(job_id, self._error or said))
        return ended

    def cancel(self, job_id: int) -> None:
        self._waiting = [job for job in self._waiting if job.id != job_id]
        self._running.pop(job_id, None)
        self._cancelled.append(job_id)

    def capacity(self) -> int:
        return self._slots

    def running(self) -> int:
        return len(self._running)

    def stop(self) -> None:
        self.stopped = True
