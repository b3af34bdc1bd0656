"""Coalescing of equal questions in progress: one is computed, the others wait for it and hold nothing meanwhile."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.metrics import COALESCED
from sightstream.pipeline.types import Answered
from sightstream.schemas.wire.dead_letter import Reason, Stage

_OF_ONE_REQUEST = {Reason.DEADLINE_EXCEEDED, Reason.INTERNAL_ERROR}


def is_shareable(outcome: Answered | PipelineError) -> bool:
    """Return whether waiting duplicates may receive this outcome.

    True if it follows from the images and the question, False if from one request's URL, credentials or deadline.
    """
    if isinstance(outcome, Rejected):
        return outcome.stage in (Stage.DECODE, Stage.INFER) and outcome.reason not in _OF_ONE_REQUEST
    return isinstance(outcome, Answered)


class Waiter(Protocol):
    """A question that may lead or wait. Compared by identity."""

    @property
    def id(self) -> int: ...

    @property
    def key(self) -> str | None:
        """Equal for equal questions; None for one that equals no other."""

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if nobody wants the outcome any more."""

    def abort_reason(self) -> PipelineError | None:
        """Return why no outcome is wanted any more, or None while one is."""

    def outcome_for(self, outcome: Answered | PipelineError) -> Answered | PipelineError:
        """Return the outcome of an equal question as this one's."""


T = TypeVar("T", bound=Waiter)


@dataclass(frozen=True, slots=True)
class Handover(Generic[T]):
    """What the end of a flight means for those that waited: `successor` leads next, the `endings` end now.

    By the time that they learn of it they may have moved on to another key than this one.
    """

    key: str | None = None
    successor: T | None = None
    endings: tuple[tuple[T, Answered | PipelineError], ...] = ()


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    """One piece of work; its waiters stand in order of arrival."""

    leader: T
    waiting: dict[int, T] = field(default_factory=dict)


class SingleFlight(Generic[T]):
    """Thread safe; never blocks. Each question that waits is returned once, by whichever call releases it.

    A flight lasts from its leader's `join` until the leader's outcome resolves it, or until nobody is left to lead it.
    """

    def __init__(self, coalesce: bool = True) -> None:
        """With `coalesce` False every question leads, and none ever waits."""
        self._coalesce = coalesce
        self._flights: dict[str, _Flight[T]] = {}
        self._led: dict[int, str] = {}
        self._awaited: dict[int, str] = {}
        self._lock = threading.Lock()

    def join(self, question: T) -> bool:
        """Return whether this question is the one that is computed; else it waits for an equal one. Raises Cancelled.

        One that led another key before must have left it.
        """
        key = question.key
        with self._lock:
            question.raise_if_cancelled()  # under the lock: a later `cancel_wait` finds the question waiting
            if key is None or not self._coalesce:
                return True
            flight = self._flights.setdefault(key, _Flight(question))
            if flight.leader is question:
                self._led[question.id] = key
                return True
            flight.waiting[question.id] = question
            self._awaited[question.id] = key
            return False

    def leads(self, question: T) -> bool:
        """Return whether it leads a flight: by its `join`, or as the successor of another."""
        with self._lock:
            return question.id in self._led

    def cancel_wait(self, question: T) -> bool:
        """Return whether the question waited; if so, it waits no more."""
        with self._lock:
            key = self._awaited.pop(question.id, None)
            if key is None:
                return False
            del self._flights[key].waiting[question.id]
            return True

    def resolve(self, leader: T, outcome: Answered | PipelineError) -> Handover[T]:
        """End the leader's flight: its waiters share the outcome, or one of them leads next."""
        if not is_shareable(outcome):
            return self.promote_next(leader)
        key, waiters = self._finish(leader)
        if not waiters:
            return Handover()
        COALESCED.inc(len(waiters))
        return Handover(key, endings=tuple((waiter, waiter.outcome_for(outcome)) for waiter in waiters))

    def _finish(self, leader: T) -> tuple[str | None, list[T]]:
        with self._lock:
            key = self._led.pop(leader.id, None)
            if key is None:
                return None, []
            waiters = list(self._flights.pop(key).waiting.values())
            for waiter in waiters:
                del self._awaited[waiter.id]
            return key, waiters

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
                return Handover(key, None, aborted)
            flight.leader = successor = next(iter(flight.waiting.values()))
            self._stop_waiting(flight, successor)
            self._led[successor.id] = key
        return Handover(key, successor, aborted)

    def _stop_waiting(self, flight: _Flight[T], waiter: T) -> None:
        del flight.waiting[waiter.id], self._awaited[waiter.id]
