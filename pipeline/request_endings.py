"""How questions and requests end: what is released then, and what it means for equal questions of other requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from structlog.contextvars import bound_contextvars

from sightstream.pipeline.budget import ByteBudget
from sightstream.pipeline.coalescing import Handover, SingleFlight
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.errors import Fatal, PipelineError, Retryable
from sightstream.pipeline.in_flight import InFlightRequest, cancelled
from sightstream.pipeline.in_flight_question import InFlightQuestion, Phase
from sightstream.pipeline.internal_errors import drop_frames, judge
from sightstream.pipeline.known_good import KnownGoodJobs
from sightstream.pipeline.outcome_queue import OutcomeQueue
from sightstream.pipeline.question_answer import concerns_one_question
from sightstream.pipeline.stages import DecodeStage
from sightstream.pipeline.types import Answered, Outcome
from sightstream.schemas.wire.dead_letter import Stage


@dataclass(frozen=True, slots=True, eq=False)
class RequestEndings:
    """Ends what the flow brings on. Whatever is called about a request is called in a step of that request.

    `requests` are those in flight and `questions` those in work, by id. `queue` lets a thread prepare a request, and
    `go_on` starts what is due of one that is prepared.
    """

    requests: dict[int, InFlightRequest]
    questions: dict[int, InFlightQuestion]
    single_flight: SingleFlight[InFlightQuestion]
    outcomes: OutcomeQueue
    decoder: DecodeStage
    engine: Engine
    budget: ByteBudget
    known_good: KnownGoodJobs
    queue: Callable[[InFlightRequest], None]
    go_on: Callable[[InFlightRequest], None]

    # --- questions ----------------------------------------------------------------------------------------

    def record(self, question: InFlightQuestion, outcome: Answered | PipelineError) -> None:
        """End a question, or raise the error that ends its whole request."""
        if isinstance(outcome, Answered):
            question.accept(outcome)
        elif concerns_one_question(outcome):
            question.refuse(outcome)
        else:
            raise outcome
        del self.questions[question.id]
        question.request.endings.append((question, outcome))

    def start_anew(self, request: InFlightRequest) -> None:
        """Drop what was found out about images that have changed since."""
        for question in request.questions:
            self.single_flight.cancel_wait(question)
            self._hand_over(self.single_flight.promote_next(question))
            self.questions.pop(question.id, None)
            question.reopen()

    # --- requests -----------------------------------------------------------------------------------------

    @contextmanager
    def handling(self, request: InFlightRequest, question: InFlightQuestion | None = None) -> Iterator[None]:
        """Turn an error into the end of the request, or into another try; `question` is what it is about, if one.

        Lines that are logged meanwhile name the request.
        """
        with bound_contextvars(request_id=request.request.request_id):
            try:
                yield
            except PipelineError as error:
                self._fail(request, error, question)
            except Exception as error:
                self._handle_unexpected(request, error)

    def _handle_unexpected(self, request: InFlightRequest, error: Exception) -> None:
        """Try a request again that met a bug, or end it: see internal_errors. Its neighbours go on."""
        stage, image = request.current_stage, request.image
        request.unexpected_errors += 1
        ending = request.failure or judge(
            stage, error, lambda: self.known_good.run(stage, image), request.unexpected_errors
        )
        if isinstance(ending, Fatal):
            self.outcomes.put(ending)  # and this request has no outcome: the next worker starts it anew
        elif ending is not None:
            self._fail(request, ending)
        else:
            request.reopen()
            self.queue(request)

    def _fail(self, request: InFlightRequest, error: PipelineError, question: InFlightQuestion | None = None) -> None:
        """Let a request end by an error, once the engine has none of its questions; what it led may go on elsewhere.

        Answers that the engine still works on are kept if the request will be tried again.
        """
        drop_frames(error)  # they would keep the bytes of the images
        request.failure = request.failure or error
        for other in request.in_phase(Phase.RUNNING):
            if not isinstance(error, Retryable):
                self.engine.cancel(other.id)
        for other in request.in_phase(Phase.OPEN, Phase.LEADING, Phase.FOLLOWING):
            self.single_flight.cancel_wait(other)
            self.questions.pop(other.id, None)
            other.phase = Phase.ENDED
            request.endings.append((other, error if question in (None, other) else None))

    def cancel(self, request: InFlightRequest) -> None:
        """End a request that only waits; the engine gives up the others, and a thread those that it has or gets."""
        running = request.in_phase(Phase.RUNNING)
        for question in running:
            self.engine.cancel(question.id)
        if not (running or request.is_queued or request.has_ended):
            self._fail(request, cancelled())
            self.conclude(request)

    def conclude(self, request: InFlightRequest) -> None:
        """After each step: release what nothing needs any more, end what is done, and tell the equal questions."""
        if request.is_done:
            self._end(request)
        elif not request.needs_pixels:
            self._release(request)
        endings, request.endings = request.endings, []
        for question, outcome in endings:
            if outcome is None:
                self._hand_over(self.single_flight.promote_next(question))
            else:
                self._hand_over(self.single_flight.resolve(question, outcome))

    def _end(self, request: InFlightRequest) -> None:
        """Release what the request holds, and deliver its outcome."""
        request.has_ended = True
        del self.requests[request.id]
        try:
            self._release(request)
        finally:  # even where that is broken: the worker stops then, and this outcome is published before
            times = tuple(request.clock.times)
            self.outcomes.put(Outcome(request.ticket, request.outcome(), request.finished_answers(), times))

    def _release(self, request: InFlightRequest) -> None:
        images, request.images = request.images, None
        for pixels in images.decoded if images is not None else ():
            self.decoder.release(pixels)
        self.budget.release(request.id)

    # --- equal questions of other requests ----------------------------------------------------------------

    def _hand_over(self, handover: Handover[InFlightQuestion]) -> None:
        """Tell the questions that waited for an equal one, each in a step of its own request."""
        if (successor := handover.successor) is not None:
            successor.request.steps.run(partial(self._lead, successor))
        for waiter, outcome in handover.endings:
            waiter.request.steps.run(partial(self._receive, waiter, handover.key, outcome))

    def _lead(self, question: InFlightQuestion) -> None:
        """Compute a question that waited for an equal one, and got no answer from it."""
        request = question.request
        if question.phase is not Phase.FOLLOWING or not self.single_flight.leads(question):
            return  # the request has ended or started anew meanwhile
        request.clock.record(Stage.INFER)
        question.phase = Phase.OPEN
        with self.handling(request):
            if request.images is None:
                self.queue(request)
            else:
                self.go_on(request)
        self.conclude(request)

    def _receive(self, question: InFlightQuestion, key: str | None, outcome: Answered | PipelineError) -> None:
        """Record the outcome of an equal question as this one's."""
        request = question.request
        if question.phase is not Phase.FOLLOWING or question.key != key:
            return  # the request has ended or started anew meanwhile
        question.phase = Phase.LEADING
        with self.handling(request, question):
            self.record(question, outcome)
            self.go_on(request)
        self.conclude(request)
