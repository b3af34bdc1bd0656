"""Makes jobs from JPEG files on threads, a few ahead of the engine, as a worker does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from sightstream.pipeline.types import Canvas, EngineJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import Detail
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ResponseFormat, SectionsFormat

LEAST_AHEAD = 16  # several answers end in one step, and so many jobs are then wanted at once


@dataclass(frozen=True, slots=True)
class Asks:
    """What is asked about each image: so many questions, one after the other, whose answers have a format."""

    questions: int = 1
    response_format: ResponseFormat = SECTIONS_FORMAT
    detail: Detail = "high"


class ImageDecoder(Protocol):
    """What of the pipeline's decoder is used here."""

    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas: ...

    def release(self, pixels: Pixels | Canvas) -> None:
        """The job that looked at them has ended."""


class Feed:
    """Jobs numbered from `first`, in that order. The files come round again when there are fewer than images.

    Only the questions of one image have its key in common, so no engine mistakes another for it.
    """

    def __init__(
        self,
        files: Sequence[bytes],
        decoder: ImageDecoder,
        question: str,
        tokens: Iterator[int],
        threads: int,
        first: int = 0,
        asks: Asks = Asks(),
    ) -> None:
        self._asks = asks
        self._files, self._decoder, self._question, self._tokens = files, decoder, question, tokens
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._ahead = max(LEAST_AHEAD, 2 * threads)
        self._number = first
        self._coming: deque[Future[EngineJob]] = deque()
        self._out: dict[int, Pixels | Canvas] = {}

    def ready(self) -> EngineJob | None:
        """The next job if its image is decoded. Raises what the decoder raised. Never blocks."""
        self._look_ahead()
        if not self._coming or not self._coming[0].done():
            return None
        return self._hand_out(self._coming.popleft().result())

    def wait(self, timeout: float) -> EngineJob | None:
        """The next job; blocks for `timeout` seconds at most. None: there are no more."""
        self._look_ahead()
        return self._hand_out(self._coming.popleft().result(timeout)) if self._coming else None

    def ended(self, job_id: int) -> None:
        """Release a job's image; the caller must call it once for every job that it got."""
        self._decoder.release(self._out.pop(job_id))

    def stop(self) -> None:
        """No more jobs; waits for the images at hand."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for future in self._coming:
            if not future.cancelled() and future.exception() is None:
                self._decoder.release(future.result().pixels)
        self._coming.clear()

    def _hand_out(self, job: EngineJob) -> EngineJob:
        self._out[job.id] = job.pixels
        return job

    def _look_ahead(self) -> None:
        for tokens in islice(self._tokens, self._ahead - len(self._coming)):
            self._coming.append(self._threads.submit(self._job, self._number, tokens))
            self._number += 1

    def _job(self, number: int, tokens: int) -> EngineJob:
        image, asks = number // self._asks.questions, self._asks
        return EngineJob(
            number,
            self._decoder.decode(self._files[image % len(self._files)], 1 if asks.detail == "low" else None),
            self._question,
            AnalysisOptions(max_tokens=tokens),
            image_key=f"bench-{image}",
            response_format=asks.response_format,
            reasons=isinstance(asks.response_format, SectionsFormat),
            detail=asks.detail,
        )
