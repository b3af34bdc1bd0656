"""Takes each request through the stages in order: fetch, look up, decode, infer, parse. Knows no Kafka.

A request has one or several questions about the same images. Each question is answered on its own: from the cache, by
an equal question in progress, or by the engine. The request ends once all of them have ended.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from sightstream.pipeline.batch_scheduling import use_batch_scheduling
from sightstream.pipeline.budget import ByteBudget
from sightstream.pipeline.cache.answer_cache import AnswerCache, disabled_cache
from sightstream.pipeline.coalescing import Handover, SingleFlight
from sightstream.pipeline.conditional_fetch import fetch_unless_cached
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.errors import Fatal, PipelineError, Retryable
from sightstream.pipeline.in_flight import CLOCKS, Clocks, InFlightRequest, cancelled
from sightstream.pipeline.in_flight_question import InFlightQuestion, Phase
from sightstream.pipeline.internal_errors import drop_frames, judge, without_message
from sightstream.pipeline.known_good import KnownGoodJobs, known_good_image, known_good_request
from sightstream.pipeline.prepare_queue import PrepareQueue, Turn
from sightstream.pipeline.question_answer import concerns_one_question
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.several_images import decode_images
from sightstream.pipeline.stages import DecodeStage, FetchStage, ServerBusy
from sightstream.pipeline.types import (
    NO_ANSWERS,
    Answered,
    FetchedImage,
    FinishedAnswers,
    FinishedJob,
    Origin,
    Outcome,
)
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest

log = logging.getLogger(__name__)

ENGINE_WAIT_S = 0.2


class Flow:
    """Runs requests through the stages. Thread safe; only `collect` and `stop` block.

    Each submitted request ends in one `Outcome`, also when it is cancelled. A question that equals another in progress
    waits for it: it counts as in flight, and holds neither a thread nor bytes.

    What happens to one request is a step of its `steps`, so no two threads ever work on the same request.
    """

    def __init__(
        self,
        settings: FlowSettings,
        fetcher: FetchStage,
        decoder: DecodeStage,
        engine: Engine,
        clocks: Clocks = CLOCKS,
        cache: AnswerCache | None = None,
        coalesce: bool = True,
        check_request: Callable[[ImageRequest], None] = lambda _: None,
    ) -> None:
        """Without `cache` no answer is kept. With `coalesce`, equal questions in progress share the work.

        `check_request` raises Rejected for what the engine can't do, before anything is fetched.
        """
        self._settings, self._clocks, self._check_request = settings, clocks, check_request
        self._fetcher, self._decoder, self._engine = fetcher, decoder, engine
        self._cache = cache or disabled_cache()
        self._known_good = KnownGoodJobs(fetcher, decoder, clocks)
        self._single_flight: SingleFlight[InFlightQuestion] = SingleFlight(coalesce)
        self._ids = count()
        self._in_flight: dict[int, InFlightRequest] = {}
        self._questions: dict[int, InFlightQuestion] = {}  # by id: those in work
        self._outcomes: queue.SimpleQueue[Outcome | Fatal] = queue.SimpleQueue()
        self._budget = ByteBudget(settings.max_bytes)
        self._stopping = False
        self._unprepared = PrepareQueue(settings.max_threads_for_one, clocks.seconds)
        self._prepare_threads = [
            threading.Thread(target=self._prepare_each, name=f"prepare-{number}", daemon=True)
            for number in range(settings.all_prepare_threads)
        ]
        self._answer_thread = threading.Thread(target=self._answer_each, name="answer", daemon=True)
        for thread in (*self._prepare_threads, self._answer_thread):
            thread.start()

    def submit(self, ticket: Hashable, request: ImageRequest, finished: FinishedAnswers = NO_ANSWERS) -> None:
        """Queue a request; `ticket` comes back with its outcome. Never blocks, even beyond `free_capacity`.

        `finished` are the answers that an earlier attempt ended with; they hold while the images are the same.
        """
        server = self._fetcher.server(request.all_images[0])
        self._add(InFlightRequest(self._ids, ticket, request, self._clocks, server, finished=finished))

    def submit_health_check(self, ticket: Hashable) -> None:
        """Send a known-good image through the decoder and the engine; it ends in an outcome as a request does."""
        request = known_good_request(self._clocks)
        self._add(InFlightRequest(self._ids, ticket, request, self._clocks, is_health_check=True))

    def _add(self, request: InFlightRequest) -> None:
        self._in_flight[request.id] = request
        self._questions.update((question.id, question) for question in request.due())
        self._queue(request)

    def _queue(self, request: InFlightRequest) -> None:
        """Let a preparation thread bring the request on, unless it waits for one already."""
        if not request.is_queued:
            request.is_queued = True
            self._unprepared.put(request)

    # --- from the images to the engine --------------------------------------------------------------------

    def _prepare_each(self) -> None:
        use_batch_scheduling()  # also for the decode processes that these threads start; the engine comes first
        try:
            while (turn := self._unprepared.get()) is not None:
                self._prepare(turn)
                turn.end()
        except Exception as error:
            self._fail_flow(error)

    def _prepare(self, turn: Turn) -> None:
        """Bring one request on from its images to the engine, or to the end. Runs on a preparation thread.

        What other threads learn about the request meanwhile waits until this is done.
        """
        request = turn.request
        with request.steps.alone():
            request.is_queued = False
            if request.has_ended or request.failure is not None:
                return
            with self._handling(request):
                self._start_due(request, self._fetch(turn) if request.images is None else ())
            self._conclude(request)

    def _fetch(self, turn: Turn) -> tuple[FetchedImage, ...]:
        """Return the images; none if all answers are known without them. What was answered about others is dropped."""
        request = turn.request
        self._budget.wait()
        self._check_request(request.request)
        with request.stage(Stage.FETCH):
            images = self._read(request)
        turn.end_fetch()
        if images and request.identify(tuple(image.sha256 for image in images)):
            self._start_anew(request)
        return images

    def _read(self, request: InFlightRequest) -> tuple[FetchedImage, ...]:
        def on_fetched(image: ImageRef, held_bytes: int) -> None:
            self._known_good.record_fetched(image)
            self._budget.reserve(request.id, held_bytes)

        if request.is_health_check:
            return (known_good_image(),)
        return fetch_unless_cached(self._fetcher, self._cache, request, on_fetched)

    def _start_anew(self, request: InFlightRequest) -> None:
        """Drop what was found out about images that have changed since."""
        for question in request.questions:
            self._single_flight.cancel_wait(question)
            self._hand_over(self._single_flight.promote_next(question))
            self._questions.pop(question.id, None)
            question.reopen()

    def _start_due(self, request: InFlightRequest, images: tuple[FetchedImage, ...] = ()) -> None:
        """Start each question that is due, those that become due by an answer from the cache included.

        The engine needs pixels: of `images`, or decoded before. Without either the request is prepared once more.
        """
        while due := request.due():
            for question in due:
                self._start(request, question)
        leading = request.in_phase(Phase.LEADING)
        if leading and images:
            self._decode(request, images)
        if leading and request.images is None:
            self._queue(request)
            return
        for question in leading:
            self._engine.submit(request.to_job(question))
            question.phase = Phase.RUNNING
        request.conclude()

    def _start(self, request: InFlightRequest, question: InFlightQuestion) -> None:
        """Answer a question from what is known, or let it wait for an equal one; else it leads."""
        self._questions[question.id] = question
        request.raise_if_aborted()
        answered = request.known.get(question.asked.id)
        if answered is None and not self._leads(request, question):
            question.phase = Phase.FOLLOWING
            return
        if answered is None and not request.is_health_check:
            answered = self._cache.get(question.key)
        if answered is None:
            question.phase = Phase.LEADING
        else:
            self._record(question, answered)

    def _leads(self, request: InFlightRequest, question: InFlightQuestion) -> bool:
        if request.is_health_check:
            return True
        request.has_joined = True
        return self._single_flight.join(question)

    def _decode(self, request: InFlightRequest, images: tuple[FetchedImage, ...]) -> None:
        with request.stage(Stage.DECODE):
            request.images = decode_images(self._decoder, request.request, images)
        self._budget.reserve(request.id, request.images.size_bytes)

    # --- from the engine to the outcome -------------------------------------------------------------------

    def _answer_each(self) -> None:
        """Turn the engine's output into answers. Runs on a thread of its own."""
        try:
            while not self._stopping:
                for finished in self._engine.finished(ENGINE_WAIT_S):
                    self._answer(finished)
        except Fatal as error:
            self._outcomes.put(error)
        except Exception as error:
            self._fail_flow(error)

    def _answer(self, finished: FinishedJob) -> None:
        question = self._questions[finished.id]
        question.request.steps.run(partial(self._finish, question, finished))

    def _finish(self, question: InFlightQuestion, finished: FinishedJob) -> None:
        """Record what the engine made of a question, and start those that waited for its answer."""
        request, outcome = question.request, finished.outcome
        question.phase = Phase.LEADING
        with self._handling(request, question):
            if isinstance(outcome, PipelineError):
                self._record(question, outcome)
            else:
                answered = request.answered(outcome, self._engine.identity)
                self._record(question, answered)
                if not request.is_health_check:
                    self._cache.put(question.key, answered)  # before the end: an equal question that comes finds it
            self._go_on(request)
        self._conclude(request)

    def _record(self, question: InFlightQuestion, outcome: Answered | PipelineError) -> None:
        """End a question, or raise the error that ends its whole request."""
        if isinstance(outcome, Answered):
            question.accept(outcome)
        elif concerns_one_question(outcome):
            question.refuse(outcome)
        else:
            raise outcome
        del self._questions[question.id]
        question.request.endings.append((question, outcome))

    def _go_on(self, request: InFlightRequest) -> None:
        if request.failure is None:
            self._start_due(request)

    @contextmanager
    def _handling(self, request: InFlightRequest, question: InFlightQuestion | None = None) -> Iterator[None]:
        """Turn an error into the end of the request, or into another try; `question` is what it is about, if one."""
        try:
            yield
        except ServerBusy as busy:
            request.is_queued = True
            self._unprepared.put_back(request, busy.server)
        except PipelineError as error:
            self._fail(request, error, question)
        except Exception as error:
            self._handle_unexpected(request, error)

    def _handle_unexpected(self, request: InFlightRequest, error: Exception) -> None:
        """Try a request again that met a bug, or end it: see internal_errors. Its neighbours go on."""
        stage, image = request.current_stage, request.image
        request.unexpected_errors += 1
        ending = request.failure or judge(
            stage, error, lambda: self._known_good.run(stage, image), request.unexpected_errors
        )
        if isinstance(ending, Fatal):
            self._outcomes.put(ending)  # and this request has no outcome: the next worker starts it anew
        elif ending is not None:
            self._fail(request, ending)
        else:
            request.reopen()
            self._queue(request)

    def _fail(self, request: InFlightRequest, error: PipelineError, question: InFlightQuestion | None = None) -> None:
        """Let a request end by an error, once the engine has none of its questions; what it led may go on elsewhere.

        Answers that the engine still works on are kept if the request will be tried again.
        """
        drop_frames(error)  # they would keep the bytes of the images
        request.failure = request.failure or error
        for other in request.in_phase(Phase.RUNNING):
            if not isinstance(error, Retryable):
                self._engine.cancel(other.id)
        for other in request.in_phase(Phase.OPEN, Phase.LEADING, Phase.FOLLOWING):
            self._single_flight.cancel_wait(other)
            self._questions.pop(other.id, None)
            other.phase = Phase.ENDED
            request.endings.append((other, error if question in (None, other) else None))

    def _conclude(self, request: InFlightRequest) -> None:
        """After each step: release what nothing needs any more, end what is done, and tell the equal questions."""
        if request.is_done:
            self._end(request)
        elif not request.needs_pixels:
            self._release(request)
        endings, request.endings = request.endings, []
        for question, outcome in endings:
            if outcome is None:
                self._hand_over(self._single_flight.promote_next(question))
            else:
                self._hand_over(self._single_flight.resolve(question, outcome))

    def _end(self, request: InFlightRequest) -> None:
        """Release what the request holds, and deliver its outcome."""
        request.has_ended = True
        del self._in_flight[request.id]
        try:
            self._release(request)
        finally:  # even where that is broken: the worker stops then, and this outcome is published before
            self._outcomes.put(Outcome(request.ticket, request.outcome(), request.finished_answers()))

    def _release(self, request: InFlightRequest) -> None:
        images, request.images = request.images, None
        for pixels in images.decoded if images is not None else ():
            self._decoder.release(pixels)
        self._budget.release(request.id)

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
        if question.phase is not Phase.FOLLOWING or not self._single_flight.leads(question):
            return  # the request has ended or started anew meanwhile
        request.clock.record(Stage.INFER)
        question.phase = Phase.OPEN
        with self._handling(request):
            if request.images is None:
                self._queue(request)
            else:
                self._go_on(request)
        self._conclude(request)

    def _receive(self, question: InFlightQuestion, key: str | None, outcome: Answered | PipelineError) -> None:
        """Record the outcome of an equal question as this one's."""
        request = question.request
        if question.phase is not Phase.FOLLOWING or question.key != key:
            return  # the request has ended or started anew meanwhile
        question.phase = Phase.LEADING
        with self._handling(request, question):
            self._record(question, outcome)
            self._go_on(request)
        self._conclude(request)

    def _fail_flow(self, error: Exception) -> None:
        """Handle an unexpected error in a thread that must never exit: log it and make the pipeline fatal."""
        log.error("the thread %s failed: %s", threading.current_thread().name, without_message(error))
        self._outcomes.put(Fatal(f"the flow failed: {type(error).__name__}"))

    # --- what the caller sees -----------------------------------------------------------------------------

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Return what ended since the last call; block at most `timeout_s` while nothing has. Raises Fatal."""
        outcomes: list[Outcome] = []
        try:
            while True:
                outcome = self._outcomes.get(timeout=0 if outcomes else timeout_s)
                if isinstance(outcome, Fatal):
                    self._outcomes.put(outcome)  # every later call raises it, too
                    if outcomes:
                        return outcomes
                    raise outcome
                outcomes.append(outcome)
        except queue.Empty:
            return outcomes

    @property
    def free_capacity(self) -> int:
        """How many more questions to submit now. It grows once the engine has loaded and reports its capacity."""
        if self._budget.exhausted:
            return 0
        return max(0, self._max_in_flight - len(self._questions) + self._unprepared.held_back_questions())

    @property
    def _max_in_flight(self) -> int:
        """The setting, or else twice the engine's capacity plus one question for each preparation thread."""
        return self._settings.max_in_flight or 2 * self._engine.capacity() + self._settings.prepare_threads

    def held_back(self, server: str | None = None) -> int:
        """Return how many requests wait for a slow server, or for this one; `free_capacity` does not count them."""
        return self._unprepared.held_back(server)

    @property
    def held_bytes(self) -> int:
        """Bytes of images and pixels that requests in flight hold."""
        return self._budget.used_bytes

    def origin(self, request: ImageRequest) -> Origin:
        """Return where the request's first image comes from. Never blocks, never raises."""
        return self._fetcher.origin(request.all_images[0])

    def cancel(self, tickets: set[Hashable]) -> None:
        """Drop requests whose outcomes nobody wants any more: what has not started will not start."""
        for request in list(self._in_flight.values()):
            if request.ticket in tickets:
                request.cancelled = True
                request.steps.run(partial(self._cancel, request))

    def _cancel(self, request: InFlightRequest) -> None:
        """End a request that only waits; the engine gives up the others, and a thread those that it has or gets."""
        running = request.in_phase(Phase.RUNNING)
        for question in running:
            self._engine.cancel(question.id)
        if not (running or request.is_queued or request.has_ended):
            self._fail(request, cancelled())
            self._conclude(request)

    def stop(self) -> None:
        """End every child and thread; unfinished requests are dropped. Blocks until running fetches have ended."""
        self._stopping = True
        self._budget.close()
        self._unprepared.close()
        self._engine.stop()
        self._decoder.stop()
        for thread in (*self._prepare_threads, self._answer_thread):
            thread.join()
        self._cache.close()
