"""Coalescing of equal requests in progress: one does the work, the others wait for it and hold nothing meanwhile."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.metrics import COALESCED
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.result import ImageResult

_OF_ONE_REQUEST = {Reason.DEADLINE_EXCEEDED, Reason.INTERNAL_ERROR}


def is_shareable(outcome: ImageResult | PipelineError) -> bool:
    """Return whether waiting duplicates may receive this outcome.

    True if it follows from the image and the question, False if from one request's URL, credentials or deadline.
    """
    if isinstance(outcome, Rejected):
        return outcome.stage in (Stage.DECODE, Stage.INFER) and outcome.reason not in _OF_ONE_REQUEST
    return isinstance(outcome, ImageResult)


class Waiter(Protocol):
    """A request that may lead or wait. Compared by identity."""

    @property
    def id(self) -> int: ...

    @property
    def question_key(self) -> str | None:
        """Equal for equal requests; None for a request that equals no other."""

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if nobody wants the outcome any more."""

    def abort_reason(self) -> PipelineError | None:
        """Return why no outcome is wanted any more, or None while one is."""

    def record_wait(self) -> None:
        """Learn that it waited for an equal request without getting an outcome, and leads now."""

    def outcome_for(self, outcome: ImageResult | PipelineError) -> ImageResult | PipelineError:
        """Return the outcome of an equal request, re-addressed to this one."""


T = TypeVar("T", bound=Waiter)


@dataclass(frozen=True, slots=True)
class Handover(Generic[T]):
    """Names the request that leads next, and the outcomes of the requests that end now."""

    successor: T | None = None
    endings: tuple[tuple[T, ImageResult | PipelineError], ...] = ()


@dataclass(frozen=True, slots=True)
class Lead:
    """The request does the work."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The request waits for an equal one, and belongs to whoever gets it from `resolve` or `cancel_wait`."""


@dataclass(frozen=True, slots=True)
class Restart(Generic[T]):
    """The image changed since others began to wait for this request: they go on without it, and it must join again."""

    handover: Handover[T]


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    """One piece of work; its waiters stand in order of arrival."""

    leader: T
    waiting: dict[int, T] = field(default_factory=dict)


class SingleFlight(Generic[T]):
    """Thread safe; never blocks. Each request that waits is returned once, by whichever call releases it.

    A flight lasts from its leader's `join` until the leader's outcome resolves it, or until nobody is left to lead it.
    """

    def __init__(self, coalesce: bool = True) -> None:
        """With `coalesce` False every request leads, and none ever waits."""
        self._coalesce = coalesce
        self._flights: dict[str, _Flight[T]] = {}
        self._led: dict[int, str] = {}
        self._awaited: dict[int, str] = {}
        self._lock = threading.Lock()

    def join(self, request: T) -> Lead | Wait | Restart[T]:
        """Decide what a request does whose question key is known. Raises Cancelled."""
        key = request.question_key
        if self._led_key(request) not in (None, key):
            return Restart(self.promote_next(request))
        with self._lock:
            request.raise_if_cancelled()  # under the lock: a later `cancel_wait` finds the request waiting
            if key is None or not self._coalesce:
                return Lead()
            flight = self._flights.setdefault(key, _Flight(request))
            if flight.leader is request:
                self._led[request.id] = key
                return Lead()
            flight.waiting[request.id] = request
            self._awaited[request.id] = key
            return Wait()

    def _led_key(self, request: T) -> str | None:
        with self._lock:
            return self._led.get(request.id)

    def cancel_wait(self, request: T) -> bool:
        """Return whether the request waited; if so, it waits no more."""
        with self._lock:
            key = self._awaited.pop(request.id, None)
            if key is None:
                return False
            del self._flights[key].waiting[request.id]
            return True

    def resolve(self, leader: T, outcome: ImageResult | PipelineError) -> Handover[T]:
        """End the leader's flight: its waiters share the outcome, or one of them leads next."""
        if not is_shareable(outcome):
            return self.promote_next(leader)
        waiters = self._finish(leader)
        if not waiters:
            return Handover()
        COALESCED.inc(len(waiters))
        return Handover(endings=tuple((waiter, waiter.outcome_for(outcome)) for waiter in waiters))

    def _finish(self, leader: T) -> list[T]:
        with self._lock:
            key = self._led.pop(leader.id, None)
            if key is None:
                return []
            waiters = list(self._flights.pop(key).waiting.values())
            for waiter in waiters:
                del self._awaited[waiter.id]
            return waiters

    def promote_next(self, leader: T) -> Handover[T]:
        """Let the first waiter that still wants an outcome lead instead; the others keep waiting.

        Waiters that want none any more end with their reasons. Without a flight nothing happens.
        """
        with self._lock:
            key = self._led.pop(leader.id, None)
            if key is None:
                return Handover()
            flight = self._flights[key]
            aborted = tuple((waiter, reason) for waiter in flight.waiting.values() if (reason := waiter.abort_reason()))
            for waiter, _ in aborted:
                self._stop_waiting(flight, waiter)
            if not flight.waiting:
                del self._flights[key]
                return Handover(None, aborted)
            flight.leader = successor = next(iter(flight.waiting.values()))
            self._stop_waiting(flight, successor)
            self._led[successor.id] = key
        successor.record_wait()
        return Handover(successor, aborted)

    def _stop_waiting(self, flight: _Flight[T], waiter: T) -> None:
        del flight.waiting[waiter.id], self._awaited[waiter.id]
