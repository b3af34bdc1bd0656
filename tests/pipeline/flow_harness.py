"""A flow of fakes that the tests drive by hand: nothing happens on a thread unless it is asked for."""

from __future__ import annotations

import hashlib
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
from sightstream.schemas.wire.result import ModelIdentity
from tests.pipeline.samples import MODEL

TEXT = "<SUMMARY>s</SUMMARY><CAPTION>c</CAPTION><REASONING>r</REASONING><CONCLUSION>{}</CONCLUSION>"


class Store:
    """Contents and their etags by address; says what was asked of it."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.errors: dict[str, PipelineError] = {}
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
    """Pixels that depend on the data; knows what it has given and not got back."""

    def __init__(self) -> None:
        self.out: list[Pixels | Canvas] = []
        self.decoded = 0
        self.error: PipelineError | None = None

    def decode(self, data: bytes) -> Pixels | Canvas:
        self.decoded += 1
        if self.error:
            raise self.error
        self.out.append(Pixels(bytes(300), 10, len(data), "PNG"))
        return self.out[-1]

    def release(self, pixels: Pixels | Canvas) -> None:
        self.out.remove(pixels)

    def stop(self) -> None:
        pass


class Engine:
    """Holds its jobs until the test ends them."""

    identity = MODEL

    def __init__(self) -> None:
        self.jobs: dict[int, EngineJob] = {}
        self.cancelled: set[int] = set()
        self.slots = 8

    def submit(self, job: EngineJob) -> None:
        self.jobs[job.id] = job

    def finished(self, timeout: float) -> list[FinishedJob]:
        raise AssertionError("the test hands over what is finished")

    def cancel(self, job_id: int) -> None:
        self.cancelled.add(job_id)

    def capacity(self) -> int:
        return self.slots

    def stop(self) -> None:
        pass


class ByHand:
    """Stands for the queue of the preparing threads: what was put there, until it is run."""

    def __init__(self, prepare: Callable[[InFlightRequest], None]) -> None:
        self.tasks: deque[Callable[[], None]] = deque()
        self.prepare = prepare
        self.shut = False

    def put(self, trip: InFlightRequest | None) -> None:
        if trip is None:
            self.shut = True
            self.tasks.clear()
        elif not self.shut:
            self.tasks.append(lambda: self.prepare(trip))


class StillFlow(Flow):
    """Its threads have nothing to do: the test prepares and ends jobs itself."""

    def _prepare_each(self) -> None:
        pass

    def _answer_each(self) -> None:
        pass


class FlowHarness:
    """`kept` is where answers are kept; None: nowhere. `model` is what is known of the engine's identity."""

    def __init__(self, kept: ResultCache | None = None, most: int | None = None, coalesce: bool = True) -> None:
        self.store, self.decoder, self.engine = Store(), Decoder(), Engine()
        self.seconds, self.now = 0.0, datetime(2026, 1, 1, tzinfo=UTC)
        self.model: ModelIdentity | None = MODEL
        answers = kept and AnswerCache(kept, lambda: self.model, "recipe", EtagMemory(100))
        clocks = Clocks(lambda: self.seconds, lambda: self.now)
        settings = FlowSettings(max_in_flight=most)
        self.flow = StillFlow(settings, self.store, self.decoder, self.engine, clocks, answers, coalesce)
        self.hand = ByHand(self.flow._prepare)
        self.flow._unprepared = self.hand  # type: ignore[assignment]

    def run(self) -> None:
        """All that waits for a thread."""
        while self.hand.tasks:
            self.hand.tasks.popleft()()

    def end(self, job: EngineJob, outcome: PipelineError | str = "a mug") -> None:
        del self.engine.jobs[job.id]
        generated = Completion(TEXT.format(outcome), "stop", 3, 5) if isinstance(outcome, str) else outcome
        self.flow._answer(FinishedJob(job.id, generated))

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        self.now += timedelta(seconds=seconds)

    @property
    def job(self) -> EngineJob:
        (job,) = self.engine.jobs.values()
        return job

    def outcomes(self) -> dict[Any, Any]:
        """What ended since the last call, by ticket."""
        found: list[Outcome] = self.flow.collect(0)
        by_ticket = {outcome.ticket: outcome.result for outcome in found}
        assert len(by_ticket) == len(found)
        return by_ticket


def memory() -> MemoryCache:
    return MemoryCache(1000, 10**7, 1000)
