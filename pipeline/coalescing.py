"""Equal requests in progress: one does the work, the others wait for it and hold nothing meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.result import ImageResult


def is_shareable(result: ImageResult | PipelineError) -> bool:
    """Whether equal requests end so, too: it came of the image and the question, not of one's own address or time."""
    if isinstance(result, Rejected):
        return result.stage in (Stage.DECODE, Stage.INFER) and result.reason is not Reason.DEADLINE_EXCEEDED
    return isinstance(result, ImageResult)


class Waiter(Protocol):
    """Compared by identity."""

    @property
    def id(self) -> int: ...


T = TypeVar("T", bound=Waiter)


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    """Those that wait stand in order of arrival."""

    leader: T
    waiting: dict[int, T] = field(default_factory=dict)


class SingleFlight(Generic[T]):
    """Thread safe; never blocks. Each that joined is handed back once, by whichever call takes it out.

    A flight lasts from its first `join` until `end`, or until nobody waits at `hand_over`.
    """

    def __init__(self, coalesce: bool = True) -> None:
        """`coalesce` False: everybody leads, and nobody ever waits."""
        self._coalesce = coalesce
        self._flights: dict[str, _Flight[T]] = {}
        self._led: dict[int, str] = {}
        self._awaited: dict[int, str] = {}
        self._lock = threading.Lock()

    def join(self, key: str | None, someone: T) -> bool:
        """True: it does the work. False: it waits, and belongs to whoever gets it from `end`, `hand_over` or `leave`.

        To be called by one that leads no other flight. Without a key it is alone.
        """
        if key is None or not self._coalesce:
            return True
        with self._lock:
            flight = self._flights.setdefault(key, _Flight(someone))
            if flight.leader is someone:
                self._led[someone.id] = key
                return True
            flight.waiting[someone.id] = someone
            self._awaited[someone.id] = key
            return False

    def leads(self, someone: T) -> str | None:
        """The key of its flight."""
        with self._lock:
            return self._led.get(someone.id)

    def leave(self, someone: T) -> bool:
        """Whether it waited; it does no more."""
        with self._lock:
            key = self._awaited.pop(someone.id, None)
            if key is None:
                return False
            del self._flights[key].waiting[someone.id]
            return True

    def hand_over(
        self, leader: T, refusal: Callable[[T], PipelineError | None]
    ) -> tuple[T | None, list[tuple[T, PipelineError]]]:
        """It gives up the flight that it leads, if any: the first that waits leads instead.

        Returns that one, and with their refusals those that waited and are not wanted any more; they are out.
        """
        with self._lock:
            key = self._led.pop(leader.id, None)
            if key is None:
                return None, []
            flight = self._flights[key]
            refused = [(someone, error) for someone in flight.waiting.values() if (error := refusal(someone))]
            for someone, _ in refused:
                self._stops_waiting(flight, someone)
            if not flight.waiting:
                del self._flights[key]
                return None, refused
            flight.leader = successor = next(iter(flight.waiting.values()))
            self._stops_waiting(flight, successor)
            self._led[successor.id] = key
            return successor, refused

    def _stops_waiting(self, flight: _Flight[T], someone: T) -> None:
        del flight.waiting[someone.id], self._awaited[someone.id]

    def end(self, leader: T) -> list[T]:
        """The work is done: all that waited for it."""
        with self._lock:
            key = self._led.pop(leader.id, None)
            if key is None:
                return []
            waited = list(self._flights.pop(key).waiting.values())
            for someone in waited:
                del self._awaited[someone.id]
            return waited
