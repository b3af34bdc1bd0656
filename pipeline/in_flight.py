"""A request in flight: collects what the stages learn about it, and turns it into a job and a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from prometheus_client import Histogram

from sightstream.pipeline.answer import parse
from sightstream.pipeline.cache.answer_cache import CacheHit
from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.cache.key import question_key
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected, Retryable
from sightstream.pipeline.metrics import STAGE_SECONDS, TOKENS
from sightstream.pipeline.stages import NO_SERVER, Server
from sightstream.pipeline.types import Canvas, Completion, EngineJob, FetchedImage, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.question_answer import EndOfAnswer
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result import (
    ImageResult,
    ModelIdentity,
    SeenImage,
    StageSeconds,
    TokenCounts,
)
from sightstream.schemas.wire.uri import redacted


@dataclass(frozen=True, slots=True)
class Clocks:
    """`seconds` only ever grows; `now` is the time of day."""

    seconds: Callable[[], float]
    now: Callable[[], datetime]


CLOCKS = Clocks(time.monotonic, lambda: datetime.now(UTC))


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """Used by one thread at a time, except for `cancelled`.

    `question_key` is set once the content of the image is known. `promoted` says that equal requests wait for this one.
    `unexpected_errors` counts the tries that ended in a bug of ours.
    """

    id: int
    ticket: Hashable
    request: ImageRequest
    clocks: Clocks
    server: Server = NO_SERVER
    cancelled: bool = False
    promoted: bool = False
    current_stage: Stage = Stage.FETCH
    is_health_check: bool = False
    unexpected_errors: int = 0
    image_sha256: str | None = None
    question_key: str | None = None
    image_bytes: int = 0
    pixels: Pixels | Canvas | None = None
    seconds: dict[Stage, float] = field(default_factory=dict)
    seen: SeenImage | None = None
    _started: float = 0.0
    _stage_started: float = 0.0

    def __post_init__(self) -> None:
        self._started = self._stage_started = self.clocks.seconds()

    # --- from stage to stage ------------------------------------------------------------------------------

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measure a stage, including its queue. Raises Cancelled or Rejected if no answer is wanted any more."""
        self.current_stage = stage
        self._raise_if_aborted()
        try:
            yield
        finally:
            self._record_stage(stage)

    def identify(self, image_sha256: str) -> None:
        """Learn the content of the image, which decides the question key."""
        if image_sha256 != self.image_sha256:
            self.image_sha256 = image_sha256
            self.question_key = question_key(image_sha256, self.request.all_questions[0].text, self.request.options)

    def receive(self, fetched: FetchedImage) -> None:
        """Learn what was fetched, without keeping its bytes."""
        self.identify(fetched.sha256)
        self.image_bytes = len(fetched.data)

    def to_job(self) -> EngineJob:
        """Return the engine's job, after `receive` and with `pixels` set. Raises Cancelled or Rejected if too late."""
        self.current_stage = Stage.INFER
        assert self.pixels is not None  # noqa: S101
        assert self.image_sha256 is not None  # noqa: S101
        self.seen = self._seen_image(self.image_sha256, self.image_bytes, self.pixels)
        self._raise_if_aborted()
        deadline = None if self.request.deadline is None else self.request.deadline.timestamp()
        return EngineJob(
            self.id,
            self.pixels,
            self.request.all_questions[0].text,
            self.request.options,
            image_key=self.image_sha256,
            deadline=deadline,
        )

    # --- to a result --------------------------------------------------------------------------------------

    def result_from_engine(self, completion: Completion, model: ModelIdentity) -> ImageResult:
        """Return the engine's answer as this request's result. Call it once, after `to_job`."""
        assert self.seen is not None  # noqa: S101
        self._record_stage(Stage.INFER)
        TOKENS.labels("prompt").inc(completion.prompt_tokens)
        TOKENS.labels("completion").inc(completion.completion_tokens)
        tokens = TokenCounts(prompt=completion.prompt_tokens, completion=completion.completion_tokens)
        return self._result(self.seen, model, completion.text.replace("\0", ""), completion.finish_reason, tokens)

    def result_from_cache(self, hit: CacheHit) -> ImageResult:
        """Return a cached answer as this request's result. Raises Cancelled or Rejected if too late."""
        self.current_stage = Stage.INFER
        self._raise_if_aborted()
        self.seconds.setdefault(Stage.DECODE, 0.0)
        self._record(Stage.INFER)
        answer = hit.answer
        seen = self._seen_image(hit.sha256, answer.bytes, answer)
        tokens = TokenCounts(prompt=answer.prompt_tokens, completion=answer.completion_tokens)
        return self._result(seen, hit.model, answer.text, answer.finish_reason, tokens, cached=True)

    def outcome_for(self, outcome: ImageResult | PipelineError) -> ImageResult | PipelineError:
        """Return the outcome of an identical request, re-addressed to this one. Raises nothing."""
        try:
            if isinstance(outcome, ImageResult):
                return self.result_from_cache(CacheHit(CachedAnswer.of(outcome), outcome.image.sha256, outcome.model))
            self._raise_if_aborted()
            return type(outcome)(*outcome.args)  # A fresh instance: raising an exception sets its traceback.
        except PipelineError as error:
            return error
        except Exception as error:  # a bug that concerns this request alone: on its own next try it is judged as such
            return Retryable(Stage.INFER, f"unexpected {type(error).__name__}")

    def _seen_image(self, sha256: str, size_bytes: int, image: Pixels | Canvas | CachedAnswer) -> SeenImage:
        return SeenImage(
            uri=redacted(self.request.all_images[0].uri),
            sha256=sha256,
            bytes=size_bytes,
            format=image.format,
            width=image.width,
            height=image.height,
        )

    def _result(
        self,
        seen: SeenImage,
        model: ModelIdentity,
        text: str,
        finish_reason: EndOfAnswer,
        tokens: TokenCounts,
        cached: bool = False,
    ) -> ImageResult:
        parsed = parse(text)
        return ImageResult(
            request_id=self.request.request_id,
            product_id=self.request.product_id,
            question=self.request.all_questions[0].text,
            attributes=self.request.attributes,
            answer=parsed.answer,
            finish_reason="length" if finish_reason == "repetition" else finish_reason,
            complete=parsed.complete,
            raw_text=text,
            image=seen,
            model=model,
            tokens=tokens,
            seconds=self._stage_seconds(),
            cached=cached,
            completed_at=self.clocks.now(),
        )

    # --- the time it takes --------------------------------------------------------------------------------

    def record_wait(self) -> None:
        """Learn that an equal request ended without an outcome for this one, which does the work now.

        The time it waited counts as inference.
        """
        self.promoted = True
        self._record(Stage.INFER)

    def _record_stage(self, stage: Stage) -> None:
        _stage_histogram(stage).observe(self._record(stage))

    def _record(self, stage: Stage) -> float:
        """Add the seconds since the last stage to this one, and return them. A promoted request repeats some stages."""
        now = self.clocks.seconds()
        spent_s, self._stage_started = now - self._stage_started, now
        self.seconds[stage] = self.seconds.get(stage, 0.0) + spent_s
        return spent_s

    def _stage_seconds(self) -> StageSeconds:
        stages = {stage.value: round(seconds, 4) for stage, seconds in self.seconds.items()}
        return StageSeconds(**stages, total=round(self._stage_started - self._started, 4))

    # --- whether it is still wanted -----------------------------------------------------------------------

    def abort_reason(self) -> PipelineError | None:
        """Return why no answer is wanted any more, or None while one is."""
        if self.cancelled:
            return cancelled()
        deadline = self.request.deadline
        if deadline is not None and self.clocks.now() > deadline:
            return Rejected(Reason.DEADLINE_EXCEEDED, Stage.TAKE, f"the deadline {deadline.isoformat()} has passed")
        return None

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise cancelled()

    def _raise_if_aborted(self) -> None:
        if (reason := self.abort_reason()) is not None:
            raise reason


def cancelled() -> Cancelled:
    return Cancelled("the request was handed back before it was done")


@cache  # looking up a label costs more than counting
def _stage_histogram(stage: Stage) -> Histogram:
    return STAGE_SECONDS.labels(stage.value)
