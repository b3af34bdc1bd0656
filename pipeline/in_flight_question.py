"""A question in flight: where it stands, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import Histogram

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.metrics import CONFIDENCE
from sightstream.pipeline.question_answer import CheckedAnswer, check_answer, refused, skipped
from sightstream.pipeline.types import Answered
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question import Question

if TYPE_CHECKING:
    from sightstream.pipeline.in_flight import InFlightRequest


@cache  # looking up a label costs more than observing
def _confidence(kind: str) -> Histogram:
    return CONFIDENCE.labels(kind)


class Phase(Enum):
    """Where a question stands. The engine has only those that RUN."""

    OPEN = auto()  # its condition is undecided, or it waits for a thread
    LEADING = auto()  # this request must compute it
    FOLLOWING = auto()  # an equal question of another request, or of this one, is computed
    RUNNING = auto()
    ENDED = auto()


@dataclass(slots=True, eq=False)
class InFlightQuestion:
    """One question of a request, and the unit of the engine's work: `id` is that of its job.

    `key` is equal for equal questions about equal images; None before the images are known, and for chance.
    """

    id: int
    request: InFlightRequest
    asked: Question
    options: AnalysisOptions
    phase: Phase = Phase.OPEN
    key: str | None = None
    answered: Answered | None = None
    refusal: Rejected | None = None
    answer: CheckedAnswer | None = None

    def accept(self, answered: Answered) -> None:
        """End with an answer."""
        self.request.current_stage = Stage.INFER
        self.answer = check_answer(self.asked, answered.completion, answered.cached)
        self.answered, self.phase = answered, Phase.ENDED
        if (confidence := answered.completion.confidence.value) is not None:
            _confidence(self.asked.response_format.type).observe(confidence)

    def refuse(self, error: Rejected) -> None:
        """End without one: the engine can't answer this question, which is no reason not to answer the others."""
        self.answer = refused(str(error))
        self.refusal, self.phase = error, Phase.ENDED

    def skip(self, detail: str) -> None:
        """End unasked."""
        self.answer, self.phase = skipped(detail), Phase.ENDED

    def reopen(self) -> None:
        """Start anew."""
        self.answer = self.answered = self.refusal = None
        self.phase = Phase.OPEN

    # --- what coalescing asks -----------------------------------------------------------------------------

    def raise_if_cancelled(self) -> None:
        self.request.raise_if_cancelled()

    def abort_reason(self) -> PipelineError | None:
        return self.request.abort_reason()

    def outcome_for(self, outcome: Answered | PipelineError) -> Answered | PipelineError:
        """Return the outcome of an equal question as this one's: what is late is late. Raises nothing."""
        if (reason := self.request.abort_reason()) is not None:
            return reason
        if isinstance(outcome, Answered):
            return replace(outcome, cached=True)
        return type(outcome)(*outcome.args)  # a fresh instance: raising an exception sets its traceback
