"""The way of an image, in order: fetch, look up, decode, infer, parse. Knows no Kafka."""

from __future__ import annotations

import logging
import queue
import threading
import time
import traceback
from collections.abc import Hashable
from datetime import UTC, datetime
from itertools import count

from sightstream.pipeline.batch_scheduling import use_batch_scheduling
from sightstream.pipeline.budget import ByteBudget
from sightstream.pipeline.cache.answer_cache import AnswerCache, CacheHit, no_answers
from sightstream.pipeline.cache.key import question_key
from sightstream.pipeline.coalescing import SingleFlight, is_shareable
from sightstream.pipeline.conditional_fetch import fetch_in_full, fetch_unless_known
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.errors import Cancelled, Fatal, PipelineError, Retryable
from sightstream.pipeline.in_flight import Clocks, InFlightRequest
from sightstream.pipeline.metrics import SHARED
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.stages import DecodeStage, FetchStage
from sightstream.pipeline.types import FetchedImage, FinishedJob, Outcome
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result import ImageResult

log = logging.getLogger(__name__)

ENGINE_WAIT_S = 0.2


class Flow:
    """Submit requests, collect outcomes, see how full it is, cancel, stop. Thread safe; `collect` and `stop` block.

    Each submitted request ends in one `Outcome`, also when it is cancelled. One that equals another in progress waits
    for it: it counts as in flight, and holds neither a thread nor bytes.
    """

    def __init__(
        self,
        settings: FlowSettings,
        fetcher: FetchStage,
        decoder: DecodeStage,
        engine: Engine,
        clocks: Clocks = Clocks(time.monotonic, lambda: datetime.now(UTC)),  # noqa: B008 - two functions, frozen
        answers: AnswerCache | None = None,
        coalesce: bool = True,
    ) -> None:
        """`answers` are those given before; with `coalesce`, equal requests are worked on once."""
        self._settings, self._clocks = settings, clocks
        self._fetcher, self._decoder, self._engine = fetcher, decoder, engine
        self._answers = answers or no_answers()
        self._single_flight: SingleFlight[InFlightRequest] = SingleFlight(coalesce)
        self._ids = count()
        self._in_flight: dict[int, InFlightRequest] = {}
        self._outcomes: queue.SimpleQueue[Outcome | Fatal] = queue.SimpleQueue()
        self._budget = ByteBudget(settings.max_bytes)
        self._stopping = False
        self._waiting: queue.SimpleQueue[InFlightRequest | None] = queue.SimpleQueue()
        self._preparing = [
            threading.Thread(target=self._prepare_each, name=f"prepare-{number}", daemon=True)
            for number in range(settings.prepare_threads)
        ]
        self._answering = threading.Thread(target=self._answer, name="answer", daemon=True)
        for thread in (*self._preparing, self._answering):
            thread.start()

    def submit(self, ticket: Hashable, request: ImageRequest) -> None:
        """`ticket` comes back with the outcome. More than `free_capacity` waits its turn inside."""
        trip = InFlightRequest(next(self._ids), ticket, request, self._clocks)
        self._in_flight[trip.id] = trip
        self._waiting.put(trip)

    # --- the stages ---------------------------------------------------------------------------------------

    def _prepare_each(self) -> None:
        use_batch_scheduling()  # the decode processes, too, which these threads start; the engine goes before them
        try:
            while (trip := self._waiting.get()) is not None:
                self._prepare(trip)
        except Exception as error:
            self._failed(error)

    def _prepare(self, trip: InFlightRequest) -> None:
        """A reference to pixels in the engine's hands, or to an answer that is known; on one of several threads."""
        try:
            self._budget.wait()
            with trip.stage(Stage.FETCH):
                fetched = self._fetch(trip)
            if isinstance(fetched, CacheHit):
                self._end(trip, trip.known(fetched))
                return
            if not self._join(trip, fetched.sha256):
                return  # the trip is no longer this thread's
            self._budget.hold(trip.id, len(fetched.data))
            if (found := self._answers.find(trip.request, fetched.sha256)) is not None:
                self._end(trip, trip.known(found))
                return
            with trip.stage(Stage.DECODE):
                trip.pixels = pixels = self._decoder.decode(fetched.data)
            self._budget.hold(trip.id, len(pixels.rgb))
            self._engine.submit(trip.saw(fetched, pixels))
        except PipelineError as error:
            self._end(trip, error)
        except Exception as error:
            log.error("fetch or decode failed in a way that it never should: %s", _told(error))
            self._end(trip, Retryable(Stage.FETCH, f"unexpected {type(error).__name__}"))

    def _answer(self) -> None:
        """The engine's text to results; on a thread of its own."""
        try:
            while not self._stopping:
                for finished in self._engine.finished(ENGINE_WAIT_S):
                    self._parse(finished)
        except Fatal as error:
            self._outcomes.put(error)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        """One of the threads that nothing should end."""
        log.error("the thread %s failed: %s", threading.current_thread().name, _told(error))
        self._outcomes.put(Fatal(f"the flow failed: {type(error).__name__}"))

    def _parse(self, finished: FinishedJob) -> None:
        trip, said = self._in_flight[finished.id], finished.outcome
        if isinstance(said, PipelineError):
            self._end(trip, said)
            return
        result = trip.result(said, self._engine.identity)
        self._answers.keep(trip.request, result)  # before the end: an equal request that comes now finds it
        self._end(trip, result)

    def _end(self, trip: InFlightRequest, result: ImageResult | PipelineError) -> None:
        del self._in_flight[trip.id]
        if trip.pixels is not None:
            self._decoder.release(trip.pixels)
        self._budget.hold(trip.id, 0)
        self._outcomes.put(Outcome(trip.ticket, result))
        self._settle(trip, result)

    # --- what is known, and who waits for whom ------------------------------------------------------------

    def _fetch(self, trip: InFlightRequest) -> FetchedImage | CacheHit:
        if self._single_flight.leads(trip):  # others wait for what it does with the bytes
            return fetch_in_full(self._fetcher, self._answers, trip.request)
        return fetch_unless_known(self._fetcher, self._answers, trip.request)

    def _join(self, trip: InFlightRequest, sha256: str) -> bool:
        """Whether it does the work; else an equal one does."""
        key = question_key(sha256, trip.request.question, trip.request.options)
        if self._single_flight.leads(trip) not in (None, key):
            self._hand_over(trip)  # the image changed since those that wait saw it
        if self._single_flight.join(key, trip):
            return True
        if trip.cancelled and self._single_flight.leave(trip):
            self._end(trip, Cancelled("handed back before it was done"))
        return False

    def _settle(self, trip: InFlightRequest, result: ImageResult | PipelineError) -> None:
        """Those that wait for the trip get the same outcome, or one of them does the work."""
        if not is_shareable(result):
            self._hand_over(trip)
            return
        for follower in self._single_flight.end(trip):
            SHARED.inc()
            self._end(follower, follower.share(result))

    def _hand_over(self, trip: InFlightRequest) -> None:
        successor, refused = self._single_flight.hand_over(trip, InFlightRequest.refusal)
        if successor is not None:
            successor.waited()
            self._waiting.put(successor)
        for follower, error in refused:
            self._end(follower, error)

    # --- around them --------------------------------------------------------------------------------------

    def collect(self, timeout: float) -> list[Outcome]:
        """What ended since the last call; blocks `timeout` seconds at most when nothing did. Raises Fatal."""
        found: list[Outcome] = []
        try:
            while True:
                outcome = self._outcomes.get(timeout=0 if found else timeout)
                if isinstance(outcome, Fatal):
                    self._outcomes.put(outcome)  # and at every later call
                    if found:
                        return found
                    raise outcome
                found.append(outcome)
        except queue.Empty:
            return found

    @property
    def free_capacity(self) -> int:
        """How many more requests it should be given now. Grows when the engine has loaded and says what it holds."""
        return 0 if self._budget.exhausted else max(0, self._most - len(self._in_flight))

    @property
    def _most(self) -> int:
        """Requests to have in flight: without a setting, what the engine has in work, as much again, what prepares."""
        return self._settings.max_in_flight or 2 * self._engine.capacity() + self._settings.prepare_threads

    @property
    def held_bytes(self) -> int:
        """Bytes of images and pixels in hand."""
        return self._budget.used

    def cancel(self, tickets: set[Hashable]) -> None:
        """Nobody waits for these any more: what has not started, won't."""
        for trip in list(self._in_flight.values()):
            if trip.ticket in tickets:
                trip.cancelled = True
                if self._single_flight.leave(trip):
                    self._end(trip, Cancelled("handed back before it was done"))
                else:
                    self._engine.cancel(trip.id)

    def stop(self) -> None:
        """Ends every child and thread; what is unfinished is dropped. Blocks for the fetches that are under way."""
        self._stopping = True
        self._budget.close()
        for _ in self._preparing:
            self._waiting.put(None)
        self._engine.stop()
        self._decoder.stop()
        for thread in (*self._preparing, self._answering):
            thread.join()
        self._answers.close()


def _told(error: Exception) -> str:
    """Not the message: it could name a presigned address."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
