"""One request on its way through the flow: what is known of it so far, and its result at the end."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from prometheus_client import Histogram

from sightstream.pipeline.answer import parse
from sightstream.pipeline.cache.answer_cache import CacheHit
from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected
from sightstream.pipeline.metrics import STAGE_SECONDS, TOKENS
from sightstream.pipeline.types import Canvas, Completion, EngineJob, FetchedImage, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result import (
    FinishReason,
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


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """Used by one thread at a time, `cancelled` excepted."""

    id: int
    ticket: Hashable
    request: ImageRequest
    clocks: Clocks
    cancelled: bool = False
    pixels: Pixels | Canvas | None = None
    seconds: dict[Stage, float] = field(default_factory=dict)
    seen: SeenImage | None = None
    _started: float = 0.0
    _left_stage: float = 0.0

    def __post_init__(self) -> None:
        self._started = self._left_stage = self.clocks.seconds()

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Times a stage, its queue included. Raises Cancelled or Rejected instead of entering one in vain."""
        self._check_wanted()
        try:
            yield
        finally:
            self._leave(stage)

    def saw(self, fetched: FetchedImage, pixels: Pixels | Canvas) -> EngineJob:
        """Notes what is looked at, and makes the engine's job of it. Raises Cancelled or Rejected when too late."""
        self.seen = SeenImage(
            uri=redacted(self.request.image.uri),
            sha256=fetched.sha256,
            bytes=len(fetched.data),
            format=pixels.format,
            width=pixels.width,
            height=pixels.height,
        )
        self._check_wanted()
        deadline = None if self.request.deadline is None else self.request.deadline.timestamp()
        return EngineJob(
            self.id, pixels, self.request.question, self.request.options, image_key=fetched.sha256, deadline=deadline
        )

    def result(self, generated: Completion, model: ModelIdentity) -> ImageResult:
        """What the engine said. To be called once, after `saw`."""
        assert self.seen is not None  # noqa: S101
        self._leave(Stage.INFER)
        TOKENS.labels("prompt").inc(generated.prompt_tokens)
        TOKENS.labels("completion").inc(generated.completion_tokens)
        tokens = TokenCounts(prompt=generated.prompt_tokens, completion=generated.completion_tokens)
        return self._result(self.seen, model, generated.text.replace("\0", ""), generated.finish_reason, tokens)

    def known(self, found: CacheHit) -> ImageResult:
        """What was said before to the same question. Raises Cancelled or Rejected when too late."""
        self._check_wanted()
        self.seconds.setdefault(Stage.DECODE, 0.0)
        self._note(Stage.INFER)
        answer = found.answer
        seen = SeenImage(
            uri=redacted(self.request.image.uri),
            sha256=found.sha256,
            bytes=answer.bytes,
            format=answer.format,
            width=answer.width,
            height=answer.height,
        )
        tokens = TokenCounts(prompt=answer.prompt_tokens, completion=answer.completion_tokens)
        return self._result(seen, found.model, answer.text, answer.finish_reason, tokens, cached=True)

    def share(self, outcome: ImageResult | PipelineError) -> ImageResult | PipelineError:
        """What became of an equal request, as this one's own outcome."""
        try:
            if isinstance(outcome, ImageResult):
                return self.known(CacheHit(CachedAnswer.of(outcome), outcome.image.sha256, outcome.model))
            self._check_wanted()
            return type(outcome)(*outcome.args)  # of its own: whoever raises one marks it
        except PipelineError as error:
            return error

    def _result(
        self,
        seen: SeenImage,
        model: ModelIdentity,
        text: str,
        finish_reason: FinishReason,
        tokens: TokenCounts,
        cached: bool = False,
    ) -> ImageResult:
        parsed = parse(text)
        return ImageResult(
            request_id=self.request.request_id,
            product_id=self.request.product_id,
            question=self.request.question,
            attributes=self.request.attributes,
            answer=parsed.answer,
            finish_reason=finish_reason,
            complete=parsed.complete,
            raw_text=text,
            image=seen,
            model=model,
            tokens=tokens,
            seconds=self._stage_seconds(),
            cached=cached,
            completed_at=self.clocks.now(),
        )

    def _stage_seconds(self) -> StageSeconds:
        stages = {stage.value: round(seconds, 4) for stage, seconds in self.seconds.items()}
        return StageSeconds(**stages, total=round(self._left_stage - self._started, 4))

    def _leave(self, stage: Stage) -> None:
        _seconds_in(stage).observe(self._note(stage))

    def _note(self, stage: Stage) -> float:
        """The seconds since the last stage are this one's. One that waited in vain goes through some stages twice."""
        now = self.clocks.seconds()
        spent, self._left_stage = now - self._left_stage, now
        self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
        return spent

    def waited(self) -> None:
        """It waited for an equal one, in vain: that time counts as inference."""
        self._note(Stage.INFER)

    def refusal(self) -> PipelineError | None:
        """Why no answer is wanted any more; None while one is."""
        if self.cancelled:
            return Cancelled("handed back before it was done")
        deadline = self.request.deadline
        if deadline is not None and self.clocks.now() > deadline:
            return Rejected(Reason.DEADLINE_EXCEEDED, Stage.TAKE, f"the deadline {deadline.isoformat()} has passed")
        return None

    def _check_wanted(self) -> None:
        if (refusal := self.refusal()) is not None:
            raise refusal


@cache  # looking a label up costs more than counting
def _seconds_in(stage: Stage) -> Histogram:
    return STAGE_SECONDS.labels(stage.value)
