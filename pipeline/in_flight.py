"""A request in flight: what the stages learn about it, which of its questions are due, and what still needs pixels."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache

from prometheus_client import Counter

from sightstream.pipeline.cache.key import question_key
from sightstream.pipeline.conditions import why_skipped
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected, Retryable
from sightstream.pipeline.image_key import image_key
from sightstream.pipeline.in_flight_question import InFlightQuestion, Phase
from sightstream.pipeline.metrics import TOKENS
from sightstream.pipeline.results import to_result
from sightstream.pipeline.serial_executor import SerialExecutor
from sightstream.pipeline.several_images import DecodedImages
from sightstream.pipeline.stage_clock import StageClock
from sightstream.pipeline.stages import NO_SERVER, Server
from sightstream.pipeline.types import (
    NO_ANSWERS,
    Answered,
    Completion,
    EngineJob,
    FinishedAnswers,
    Pixels,
)
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ModelIdentity
from sightstream.schemas.wire.result_v2 import AnyResult

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clocks:
    """`seconds` only ever grows; `now` is the time of day; `loaded_at` is when the engine had loaded, in `seconds`."""

    seconds: Callable[[], float]
    now: Callable[[], datetime]
    loaded_at: Callable[[], float] = lambda: float("-inf")


CLOCKS = Clocks(time.monotonic, lambda: datetime.now(UTC))


Ending = tuple[InFlightQuestion, Answered | PipelineError | None]


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """Changed only by steps of `steps`, one at a time; `cancelled` alone is set by any thread.

    Its questions get their ids from `ids`. `known` are answers that need not be computed, by question id: those of an
    earlier attempt, or of the cache. `endings` are the questions whose equal ones have not been told yet how they
    ended; None says that they must find out for themselves. `failure` ends the request once nothing of it runs.
    """

    ids: Iterator[int]
    ticket: Hashable
    request: ImageRequest
    clocks: Clocks
    server: Server = NO_SERVER
    is_health_check: bool = False
    finished: FinishedAnswers = NO_ANSWERS
    cancelled: bool = False
    is_queued: bool = False
    has_joined: bool = False
    has_computed: bool = False
    has_ended: bool = False
    current_stage: Stage = Stage.FETCH
    unexpected_errors: int = 0
    image: ImageRef = field(init=False)
    sha256s: tuple[str, ...] = ()
    images: DecodedImages | None = None
    known: dict[str, Answered] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    failure: PipelineError | None = None
    result: AnyResult | None = None
    steps: SerialExecutor = field(default_factory=SerialExecutor)
    questions: tuple[InFlightQuestion, ...] = field(init=False)
    clock: StageClock = field(init=False)

    def __post_init__(self) -> None:
        self.image = self.request.all_images[0]
        self.clock = StageClock(self.clocks.seconds, self.clocks.loaded_at, is_shown=not self.is_health_check)
        self.questions = tuple(
            InFlightQuestion(next(self.ids), self, question, self._options(question))
            for question in self.request.all_questions
        )

    def _options(self, question: Question) -> AnalysisOptions:
        return self.request.options if self.request.questions is None else question.options(self.request.options)

    @property
    def id(self) -> int:
        return self.questions[0].id

    # --- from stage to stage ------------------------------------------------------------------------------

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measure a stage, including its queue. Raises Cancelled or Rejected if no answer is wanted any more."""
        self.current_stage = stage
        self.raise_if_aborted()
        try:
            yield
            log.debug("the stage %s is done", stage.value)
        finally:
            self.clock.observe(stage)

    def identify(self, sha256s: tuple[str, ...]) -> bool:
        """Learn the content of the images, which decides the keys of the questions. Return whether it changed."""
        if sha256s == self.sha256s:
            return False
        was_known, self.sha256s = bool(self.sha256s), sha256s
        for question in self.questions:
            question.key = question_key(sha256s, question.asked, question.options, self.request)
        self.known = dict(self.finished.answers) if self.finished.image_sha256s == sha256s else {}
        return was_known

    def to_job(self, question: InFlightQuestion) -> EngineJob:
        """Return the engine's job, with `images` decoded. Raises Cancelled or Rejected if too late."""
        self.current_stage = Stage.INFER
        self.raise_if_aborted()
        assert self.images is not None  # noqa: S101
        first, *more = self.images.pixels
        deadline = None if self.request.deadline is None else self.request.deadline.timestamp()
        return EngineJob(
            question.id,
            first,
            question.asked.text,
            question.options,
            image_key=image_key(self.sha256s, self.images.detail),
            deadline=deadline,
            response_format=question.asked.response_format,
            reasons=question.asked.reasons,
            stops_repetition=self.request.schema_version > 1,
            more_pixels=tuple(each for each in more if isinstance(each, Pixels)),
            detail=self.images.detail,
        )

    # --- its questions ------------------------------------------------------------------------------------

    def due(self) -> list[InFlightQuestion]:
        """Return the open questions whose conditions hold; those whose conditions fail end as skipped."""
        found = []
        for question in self.questions:  # in order: a condition names an earlier one
            if question.phase is Phase.OPEN and self._is_decided(question):
                if (reason := self._why_skipped(question)) is None:
                    found.append(question)
                else:
                    question.skip(reason)
        return found

    def _why_skipped(self, question: InFlightQuestion) -> str | None:
        earlier, when = self._earlier(question), question.asked.when
        if earlier is None or earlier.answer is None or when is None:
            return None
        return why_skipped(when, earlier.answer)

    def _is_decided(self, question: InFlightQuestion) -> bool:
        earlier = self._earlier(question)
        return earlier is None or earlier.answer is not None

    def _earlier(self, question: InFlightQuestion) -> InFlightQuestion | None:
        """Return the question that this one's condition names."""
        when = question.asked.when
        return next(one for one in self.questions if one.asked.id == when.question) if when else None

    def in_phase(self, *phases: Phase) -> list[InFlightQuestion]:
        return [question for question in self.questions if question.phase in phases]

    @property
    def active_questions(self) -> int:
        """How many questions it has in work. One whose condition is undecided is none, since it may be skipped."""
        return sum(one.phase is not Phase.ENDED and self._is_decided(one) for one in self.questions)

    @property
    def needs_pixels(self) -> bool:
        """Whether a question has the engine, or comes to it after one that has. What waits for others needs none."""
        if self.failure is not None:
            return bool(self.in_phase(Phase.RUNNING))
        return any(self._may_run(question) for question in self.questions)

    def _may_run(self, question: InFlightQuestion) -> bool:
        if question.phase is Phase.OPEN and (earlier := self._earlier(question)) is not None:
            return self._may_run(earlier)
        return question.phase in (Phase.LEADING, Phase.RUNNING)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do but to tell how it ended."""
        if self.failure is not None:
            return not self.in_phase(Phase.RUNNING)
        return self.result is not None

    def reopen(self) -> None:
        """Start anew what met a bug: the questions that this request leads, or all of them once all have ended."""
        for question in self.in_phase(Phase.LEADING) or self.in_phase(Phase.ENDED):
            question.reopen()

    # --- how it ends --------------------------------------------------------------------------------------

    def answered(self, completion: Completion, model: ModelIdentity) -> Answered:
        """Return what the engine answered, as the model's."""
        assert self.images is not None  # noqa: S101
        self.has_computed = True
        if not self.is_health_check:
            _tokens("prompt").inc(completion.prompt_tokens)
            _tokens("completion").inc(completion.completion_tokens)
        return Answered(_without_nul(completion), self.images.files, model)

    def conclude(self) -> None:
        """Once all questions have ended: put the result together, or fail where the engine refused all it was asked."""
        if self.in_phase(Phase.OPEN, Phase.LEADING, Phase.FOLLOWING, Phase.RUNNING):
            return
        (self.clock.observe if self.has_computed else self.clock.record)(Stage.INFER)
        one = next((question.answered for question in self.questions if question.answered is not None), None)
        if one is None:
            self.failure = next(question.refusal for question in self.questions if question.refusal is not None)
            return
        answers = [(question.asked, question.answer) for question in self.questions if question.answer is not None]
        self.result = to_result(self.request, answers, self.sha256s, one, self.clock.seconds(), self.clocks.now())

    def outcome(self) -> AnyResult | PipelineError:
        """Return how it ended, once it is done."""
        outcome = self.failure or self.result
        assert outcome is not None  # noqa: S101
        return outcome

    def finished_answers(self) -> FinishedAnswers:
        """Return what need not be computed when the request is tried again."""
        if not isinstance(self.failure, Retryable) or self.request.schema_version == 1:
            return NO_ANSWERS
        if not self.sha256s:
            return self.finished
        ended = {one.asked.id: one.answered for one in self.questions if one.answered is not None}
        return FinishedAnswers(self.sha256s, self.known | ended)

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

    def raise_if_aborted(self) -> None:
        if (reason := self.abort_reason()) is not None:
            raise reason


@cache  # looking up a label costs more than counting
def _tokens(kind: str) -> Counter:
    return TOKENS.labels(kind)


def _without_nul(completion: Completion) -> Completion:
    """Return the completion without NUL characters, which databases refuse."""
    reasoning = completion.reasoning
    if "\0" not in completion.text and "\0" not in (reasoning or ""):
        return completion
    return replace(
        completion, text=completion.text.replace("\0", ""), reasoning=reasoning and reasoning.replace("\0", "")
    )


def cancelled() -> Cancelled:
    return Cancelled("the request was handed back before it was done")
