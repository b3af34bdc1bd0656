"""Takes each image through the stages in order: fetch, look up, decode, infer, parse. Knows no Kafka."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Hashable
from itertools import count

from sightstream.pipeline.batch_scheduling import use_batch_scheduling
from sightstream.pipeline.budget import ByteBudget
from sightstream.pipeline.cache.answer_cache import AnswerCache, CacheHit, disabled_cache
from sightstream.pipeline.coalescing import Handover, Lead, Restart, SingleFlight
from sightstream.pipeline.conditional_fetch import fetch_unless_cached
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.errors import Fatal, PipelineError
from sightstream.pipeline.in_flight import CLOCKS, Clocks, InFlightRequest, cancelled
from sightstream.pipeline.internal_errors import judge, without_message
from sightstream.pipeline.known_good import KnownGoodJobs, known_good_image, known_good_request
from sightstream.pipeline.prepare_queue import PrepareQueue, Turn
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.stages import DecodeStage, FetchStage, ServerBusy
from sightstream.pipeline.types import FetchedImage, FinishedJob, Origin, Outcome
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result import ImageResult

log = logging.getLogger(__name__)

ENGINE_WAIT_S = 0.2


class Flow:
    """Runs requests through the stages. Thread safe; only `collect` and `stop` block.

    Each submitted request ends in one `Outcome`, also when it is cancelled. A request that equals another in progress
    waits for it: it counts as in flight, and holds neither a thread nor bytes.
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
    ) -> None:
        """Without `cache` no answer is kept. With `coalesce`, equal requests in progress share the work."""
        self._settings, self._clocks = settings, clocks
        self._fetcher, self._decoder, self._engine = fetcher, decoder, engine
        self._cache = cache or disabled_cache()
        self._known_good = KnownGoodJobs(fetcher, decoder, clocks)
        self._single_flight: SingleFlight[InFlightRequest] = SingleFlight(coalesce)
        self._ids = count()
        self._in_flight: dict[int, InFlightRequest] = {}
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

    def submit(self, ticket: Hashable, request: ImageRequest) -> None:
        """Queue a request; `ticket` comes back with its outcome. Never blocks, even beyond `free_capacity`."""
        server = self._fetcher.server(request.all_images[0])
        in_flight = InFlightRequest(next(self._ids), ticket, request, self._clocks, server)
        self._in_flight[in_flight.id] = in_flight
        self._unprepared.put(in_flight)

    def submit_health_check(self, ticket: Hashable) -> None:
        """Send a known-good image through the decoder and the engine; it ends in an outcome as a request does."""
        request = known_good_request(self._clocks)
        in_flight = InFlightRequest(next(self._ids), ticket, request, self._clocks, is_health_check=True)
        self._in_flight[in_flight.id] = in_flight
        self._unprepared.put(in_flight)

    # --- the stages ---------------------------------------------------------------------------------------

    def _prepare_each(self) -> None:
        use_batch_scheduling()  # also for the decode processes that these threads start; the engine comes first
        try:
            while (turn := self._unprepared.get()) is not None:
                self._prepare(turn)
                turn.end()
        except Exception as error:
            self._fail(error)

    def _prepare(self, turn: Turn) -> None:
        """Fetch and decode one request and submit it to the engine, or end it from the cache.

        Runs on a preparation thread.
        """
        request = turn.request
        try:
            result = self._advance(turn)
        except ServerBusy as busy:
            self._unprepared.put_back(request, busy.server)
        except PipelineError as error:  # ended here: kept in a local, its traceback would keep the image's bytes
            self._end(request, error)
        except Exception as error:
            self._handle_unexpected(request, error)
        else:
            if result is not None:
                self._end(request, result)

    def _advance(self, turn: Turn) -> ImageResult | None:
        """Return the result if it is cached; None once the engine, or an equal request, works on it."""
        request = turn.request
        self._budget.wait()
        with request.stage(Stage.FETCH):
            image = self._fetch(request)
        turn.end_fetch()
        if isinstance(image, FetchedImage) and not request.is_health_check:
            self._known_good.record_fetched(request.request.all_images[0])
            if not self._leads(request):
                return None
            self._budget.reserve(request.id, len(image.data))
            image = self._cache.get(request.question_key, image.sha256) or image
        if isinstance(image, CacheHit):
            return request.result_from_cache(image)
        with request.stage(Stage.DECODE):
            request.pixels = self._decoder.decode(image.data)
        self._budget.reserve(request.id, len(request.pixels.rgb))
        self._engine.submit(request.to_job())
        return None

    def _fetch(self, request: InFlightRequest) -> FetchedImage | CacheHit:
        if not request.is_health_check:
            return fetch_unless_cached(self._fetcher, self._cache, request)
        image = known_good_image()
        request.receive(image)
        return image

    def _leads(self, request: InFlightRequest) -> bool:
        """Return whether this request does the work. If not, it belongs to the equal one that does."""
        while isinstance(decision := self._single_flight.join(request), Restart):
            self._hand_over(decision.handover)
        return isinstance(decision, Lead)

    def _answer_each(self) -> None:
        """Turn the engine's output into results. Runs on a thread of its own."""
        try:
            while not self._stopping:
                for finished in self._engine.finished(ENGINE_WAIT_S):
                    self._answer(finished)
        except Fatal as error:
            self._outcomes.put(error)
        except Exception as error:
            self._fail(error)

    def _answer(self, finished: FinishedJob) -> None:
        request, outcome = self._in_flight[finished.id], finished.outcome
        if isinstance(outcome, PipelineError):
            self._end(request, outcome)
            return
        try:
            result = request.result_from_engine(outcome, self._engine.identity)
            if not request.is_health_check:
                self._cache.put(request.question_key, result)  # before the end: an equal request that comes finds it
        except Exception as error:
            self._handle_unexpected(request, error)
        else:
            self._end(request, result)

    def _handle_unexpected(self, request: InFlightRequest, error: Exception) -> None:
        """Try a request again that met a bug, or end it: see internal_errors. Its neighbours go on."""
        stage, image = request.current_stage, request.request.all_images[0]
        request.unexpected_errors += 1
        ending = judge(stage, error, lambda: self._known_good.run(stage, image), request.unexpected_errors)
        if isinstance(ending, Fatal):
            self._outcomes.put(ending)  # and this request has no outcome: the next worker starts it anew
        elif ending is not None:
            self._end(request, ending)
        else:
            self._release(request)
            self._unprepared.put(request)

    def _end(self, request: InFlightRequest, outcome: ImageResult | PipelineError) -> None:
        """Release what the request holds, deliver its outcome, and resolve the requests that wait for it."""
        del self._in_flight[request.id]
        try:
            self._release(request)
        finally:  # even where that is broken: the worker stops then, and this outcome is published before
            self._outcomes.put(Outcome(request.ticket, outcome))
        self._hand_over(self._single_flight.resolve(request, outcome))

    def _release(self, request: InFlightRequest) -> None:
        pixels, request.pixels = request.pixels, None
        if pixels is not None:
            self._decoder.release(pixels)
        self._budget.release(request.id)

    def _hand_over(self, handover: Handover[InFlightRequest]) -> None:
        if handover.successor is not None:
            self._unprepared.put(handover.successor)
        for waiter, outcome in handover.endings:
            self._end(waiter, outcome)

    def _fail(self, error: Exception) -> None:
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
        """How many more requests to submit now. It grows once the engine has loaded and reports its capacity."""
        if self._budget.exhausted:
            return 0
        return max(0, self._max_in_flight - len(self._in_flight) + self._unprepared.held_back())

    @property
    def _max_in_flight(self) -> int:
        """The setting, or else twice the engine's capacity plus one request for each preparation thread."""
        return self._settings.max_in_flight or 2 * self._engine.capacity() + self._settings.prepare_threads

    def held_back(self, server: str | None = None) -> int:
        """Return how many requests wait for a slow server, or for this one; `free_capacity` does not count them."""
        return self._unprepared.held_back(server)

    @property
    def held_bytes(self) -> int:
        """Bytes of images and pixels that requests in flight hold."""
        return self._budget.used_bytes

    def origin(self, request: ImageRequest) -> Origin:
        """Return where the request's image comes from. Never blocks, never raises."""
        return self._fetcher.origin(request.all_images[0])

    def cancel(self, tickets: set[Hashable]) -> None:
        """Drop requests whose outcomes nobody wants any more: what has not started will not start."""
        for request in list(self._in_flight.values()):
            if request.ticket in tickets:
                request.cancelled = True
                if self._single_flight.cancel_wait(request):
                    self._end(request, cancelled())
                else:
                    self._engine.cancel(request.id)

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
