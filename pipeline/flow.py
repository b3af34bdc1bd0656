"""Takes each request through the stages in order: fetch, look up, decode, infer, parse. Knows no Kafka.

A request has one or several questions about the same images. Each question is answered on its own: from the cache, by
an equal question in progress, or by the engine. The request ends once all of them have ended.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from functools import partial
from itertools import count

from sightstream.pipeline.batch_scheduling import use_batch_scheduling
from sightstream.pipeline.budget import ByteBudget
from sightstream.pipeline.cache.answer_cache import AnswerCache, disabled_cache
from sightstream.pipeline.coalescing import SingleFlight
from sightstream.pipeline.conditional_fetch import fetch_unless_cached
from sightstream.pipeline.engine.protocol import Engine, SupervisedEngine
from sightstream.pipeline.engine.status import EngineStatus
from sightstream.pipeline.errors import Fatal, PipelineError
from sightstream.pipeline.in_flight import CLOCKS, Clocks, InFlightRequest
from sightstream.pipeline.in_flight_question import InFlightQuestion, Phase
from sightstream.pipeline.known_good import KnownGoodJobs, known_good_image, known_good_request
from sightstream.pipeline.outcome_queue import OutcomeQueue
from sightstream.pipeline.prepare_queue import PrepareQueue, Turn
from sightstream.pipeline.request_endings import RequestEndings
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.several_images import decode_images
from sightstream.pipeline.stages import DecodeStage, FetchStage, NoCheck, RequestCheck, ServerBusy
from sightstream.pipeline.types import (
    NO_ANSWERS,
    FetchedImage,
    FinishedAnswers,
    FinishedJob,
    Origin,
    Outcome,
)
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest

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
        request_check: RequestCheck | None = None,
    ) -> None:
        """Without `cache` no answer is kept. With `coalesce`, equal questions in progress share the work."""
        self._settings, self._clocks, self._request_check = settings, clocks, request_check or NoCheck()
        self._fetcher, self._decoder, self._engine = fetcher, decoder, engine
        self._supervised = engine if isinstance(engine, SupervisedEngine) else None
        self._cache = cache or disabled_cache()
        self._known_good = KnownGoodJobs(fetcher, decoder, clocks)
        self._single_flight: SingleFlight[InFlightQuestion] = SingleFlight(coalesce)
        self._ids = count()
        self._in_flight: dict[int, InFlightRequest] = {}
        self._questions: dict[int, InFlightQuestion] = {}  # by id: those in work
        self._outcomes = OutcomeQueue()
        self._budget = ByteBudget(settings.max_bytes)
        self._endings = RequestEndings(
            self._in_flight,
            self._questions,
            self._single_flight,
            self._outcomes,
            decoder,
            engine,
            self._budget,
            self._known_good,
            queue=self._queue,
            go_on=self._go_on,
        )
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
            self._outcomes.fail(error)

    def _prepare(self, turn: Turn) -> None:
        """Bring one request on from its images to the engine, or to the end. Runs on a preparation thread.

        What other threads learn about the request meanwhile waits until this is done.
        """
        request = turn.request
        with request.steps.alone():
            request.is_queued = False
            if request.has_ended or request.failure is not None:
                return
            with self._endings.handling(request):
                self._advance(turn)
            self._endings.conclude(request)

    def _advance(self, turn: Turn) -> None:
        request = turn.request
        try:
            self._start_due(request, self._fetch(turn) if request.images is None else ())
        except ServerBusy as busy:
            request.is_queued = True
            self._unprepared.put_back(request, busy.server)

    def _fetch(self, turn: Turn) -> tuple[FetchedImage, ...]:
        """Return the images; none if all answers are known without them. What was answered about others is dropped."""
        request = turn.request
        self._budget.wait()
        self._request_check.check(request.request)
        with request.stage(Stage.FETCH):
            images = self._read(request)
        turn.end_fetch()
        if images and request.identify(tuple(image.sha256 for image in images)):
            self._endings.start_anew(request)
        return images

    def _read(self, request: InFlightRequest) -> tuple[FetchedImage, ...]:
        def on_fetched(image: ImageRef, held_bytes: int) -> None:
            self._known_good.record_fetched(image)
            self._budget.reserve(request.id, held_bytes)

        if request.is_health_check:
            return (known_good_image(),)
        return fetch_unless_cached(self._fetcher, self._cache, request, on_fetched)

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
            self._endings.record(question, answered)

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
            self._outcomes.fail(error)

    def _answer(self, finished: FinishedJob) -> None:
        question = self._questions[finished.id]
        question.request.steps.run(partial(self._finish, question, finished))

    def _finish(self, question: InFlightQuestion, finished: FinishedJob) -> None:
        """Record what the engine made of a question, and start those that waited for its answer."""
        request, outcome = question.request, finished.outcome
        question.phase = Phase.LEADING
        with self._endings.handling(request, question):
            if isinstance(outcome, PipelineError):
                self._endings.record(question, outcome)
            else:
                answered = request.answered(outcome, self._engine.identity)
                self._endings.record(question, answered)
                if not request.is_health_check:
                    self._cache.put(question.key, answered)  # before the end: an equal question that comes finds it
            self._go_on(request)
        self._endings.conclude(request)

    def _go_on(self, request: InFlightRequest) -> None:
        if request.failure is None:
            self._start_due(request)

    # --- what the caller sees -----------------------------------------------------------------------------

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Return what ended since the last call; block at most `timeout_s` while nothing has. Raises Fatal."""
        return self._outcomes.collect(timeout_s)

    @property
    def free_capacity(self) -> int:
        """How many more questions to submit now: none until the engine has loaded and is known to answer rightly."""
        if self._budget.exhausted or not (self._supervised is None or self._supervised.accepts_work):
            return 0
        return max(0, self._max_in_flight - len(self._questions) + self._unprepared.held_back_questions())

    @property
    def _max_in_flight(self) -> int:
        """The setting, or else twice the engine's capacity plus one question for each preparation thread."""
        return self._settings.max_in_flight or 2 * self._engine.capacity() + self._settings.prepare_threads

    def engine_status(self) -> EngineStatus | None:
        """Return what its host says of the engine, None for an engine without a host. Never blocks."""
        return None if self._supervised is None else self._supervised.status()

    @property
    def is_running(self) -> bool:
        """Whether every thread of the flow lives."""
        return all(thread.is_alive() for thread in (*self._prepare_threads, self._answer_thread))

    def held_back(self, server: str | None = None) -> int:
        """Return how many requests wait for a slow server, or for this one; `free_capacity` does not count them."""
        return self._unprepared.held_back(server)

    @property
    def queued(self) -> int:
        """How many requests wait for a thread that fetches their images."""
        return len(self._unprepared)

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
                request.steps.run(partial(self._endings.cancel, request))

    def stop(self) -> None:
        """End every child and thread; unfinished requests are dropped. Blocks until running fetches have ended."""
        self._stopping = True
        self._budget.close()
        self._unprepared.close()
        self._engine.stop()
        self._decoder.stop()
        for thread in (*self._prepare_threads, self._answer_thread):
            thread.join()
        self._request_check.stop()
        self._cache.close()
