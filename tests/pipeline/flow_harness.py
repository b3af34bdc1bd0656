"""A flow of fakes that a test drives step by step: nothing happens on a thread of its own."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sightstream.pipeline.cache.answer_cache import AnswerCache
from sightstream.pipeline.cache.etags import EtagMemory
from sightstream.pipeline.cache.memory import MemoryCache
from sightstream.pipeline.cache.protocol import ResultCache
from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.in_flight import Clocks, InFlightRequest
from sightstream.pipeline.prepare_queue import PrepareQueue, Turn
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.types import (
    Canvas,
    Completion,
    EngineJob,
    FetchedImage,
    FinishedJob,
    NotModified,
    Outcome,
    Pixels,
)
from sightstream.schemas.wire.request import ImageRef
from sightstream.schemas.wire.response_format import SectionsFormat
from sightstream.schemas.wire.result import ModelIdentity
from tests.pipeline.samples import MODEL, OneOrigin

TEXT = "<SUMMARY>s</SUMMARY><CAPTION>c</CAPTION><REASONING>r</REASONING><CONCLUSION>{}</CONCLUSION>"


class Store(OneOrigin):
    """Serves contents and their etags by URL, and records each fetch."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.errors: dict[str, Exception] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.downloads = 0
        self.has_etags = True

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:
        self.asked.append((image.uri, known_etag))
        if image.uri in self.errors:
            raise self.errors[image.uri]
        data = self.contents.get(image.uri, b"0123456789")
        etag = f'"{hashlib.md5(data).hexdigest()}"' if self.has_etags else None  # noqa: S324 - as S3 does
        if known_etag is not None and known_etag == etag:
            return NotModified()
        self.downloads += 1
        return FetchedImage(data, hashlib.sha256(data).hexdigest(), etag)


class Decoder:
    """Returns pixels that depend on the data, and knows which are not released yet."""

    def __init__(self) -> None:
        self.out: list[Pixels | Canvas] = []
        self.decoded = 0
        self.error: Exception | None = None
        self.errors: dict[bytes, Exception] = {}
        self.max_tiles: list[int | None] = []
        self._lock = threading.Lock()

    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        self.decoded += 1
        self.max_tiles.append(max_tiles)
        if data in self.errors:
            raise self.errors[data]
        if self.error:
            raise self.error
        pixels = Pixels(bytes(300), 10, len(data), "PNG")
        self.out.append(pixels)
        return pixels

    def release(self, pixels: Pixels | Canvas) -> None:
        with self._lock:  # equal pixels are not the same ones
            del self.out[[one is pixels for one in self.out].index(True)]

    def stop(self) -> None:
        pass


class Engine:
    """Keeps its jobs until the test ends them."""

    identity = MODEL

    def __init__(self) -> None:
        self.jobs: dict[int, EngineJob] = {}
        self.cancelled: set[int] = set()
        self.slots = 8

    def submit(self, job: EngineJob) -> None:
        self.jobs[job.id] = job

    def finished(self, timeout: float) -> list[FinishedJob]:
        raise AssertionError("the test itself ends the jobs")

    def cancel(self, job_id: int) -> None:
        self.cancelled.add(job_id)

    def capacity(self) -> int:
        return self.slots

    def running(self) -> int:
        return len(self.jobs)

    def stop(self) -> None:
        pass


class ManualQueue(PrepareQueue):
    """Stands for the queue of the preparation threads: keeps each task until the test runs it."""

    def __init__(self, prepare: Callable[[Turn], None]) -> None:
        super().__init__(max_threads_for_one=1)
        self.tasks: deque[Callable[[], None]] = deque()
        self.prepare = prepare
        self.closed = False

    def put(self, request: InFlightRequest) -> None:
        if not self.closed:
            self.tasks.append(lambda: self.prepare(Turn(request)))

    def close(self) -> None:
        self.closed = True
        self.tasks.clear()


class StillFlow(Flow):
    """A flow whose threads do nothing: the test prepares and ends the jobs itself."""

    def _prepare_each(self) -> None:
        pass

    def _answer_each(self) -> None:
        pass


class FlowHarness:
    """A flow of fakes. `kept` stores answers, None keeps none; `model` is the engine's identity, if known."""

    def __init__(self, kept: ResultCache | None = None, limit: int | None = None, coalesce: bool = True) -> None:
        self.store, self.decoder, self.engine = Store(), Decoder(), Engine()
        self.seconds, self.now = 0.0, datetime(2026, 1, 1, tzinfo=UTC)
        self.model: ModelIdentity | None = MODEL
        cache = AnswerCache(kept, lambda: self.model, "fingerprint", EtagMemory(100)) if kept else None
        clocks = Clocks(lambda: self.seconds, lambda: self.now)
        settings = FlowSettings(max_in_flight=limit)
        self.flow = StillFlow(settings, self.store, self.decoder, self.engine, clocks, cache, coalesce)
        self.hand = ManualQueue(self.flow._prepare)
        self.flow._unprepared = self.hand

    def run(self) -> None:
        """Run every task that waits for a thread."""
        while self.hand.tasks:
            self.hand.tasks.popleft()()

    def end(self, job: EngineJob, outcome: PipelineError | Completion | str = "a mug") -> None:
        """End a job as the engine does; a text is the conclusion, or the whole answer in a constrained format."""
        del self.engine.jobs[job.id]
        if isinstance(outcome, str):
            is_free = isinstance(job.response_format, SectionsFormat)
            outcome = Completion(TEXT.format(outcome) if is_free else outcome, "stop", 3, 5)
        self.flow._answer(FinishedJob(job.id, outcome))

    def jobs_by_question(self) -> dict[str, EngineJob]:
        """Return what the engine works on, by the text of the question."""
        jobs = {job.question: job for job in self.engine.jobs.values()}
        assert len(jobs) == len(self.engine.jobs)
        return jobs

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        self.now += timedelta(seconds=seconds)

    @property
    def job(self) -> EngineJob:
        (job,) = self.engine.jobs.values()
        return job

    def outcomes(self) -> dict[Any, Any]:
        """Return the outcomes since the last call, by ticket."""
        found: list[Outcome] = self.flow.collect(0)
        by_ticket = {outcome.ticket: outcome.result for outcome in found}
        assert len(by_ticket) == len(found)
        return by_ticket


def memory() -> MemoryCache:
    return MemoryCache(1000, 10**7, 1000)
