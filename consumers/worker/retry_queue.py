"""Decides when to try a request again: by attempts for a foreign host, by time for a dependency of this worker.

While a dependency is down its requests wait here, those that were never tried included, and one of them is tried per
probe interval: first one that was not tried yet, so that a handful of bad objects can't look like an outage for long.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import NamedTuple

from sightstream.consumers.worker.breakers import Breakers
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.pipeline.errors import Retryable
from sightstream.schemas.wire.dead_letter import Stage

DEADLINE_CHECK_S = 1.0
_ORDER = tuple(Stage)


class _Entry(NamedTuple):
    """Sorted: what was never tried comes first, then what is due first."""

    was_tried: bool
    due: float
    sequence: int
    delivery: Delivery


class RetryQueue:
    """Requests that wait for their next attempt, by what they wait for, and the breakers. Not thread safe."""

    def __init__(
        self,
        settings: WorkerSettings,
        clock: Callable[[], float],
        random: Random,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._clock, self._random, self._now = settings, clock, random, now
        self._waiting: dict[str, list[_Entry]] = {}  # heaps
        self._sequence = count()
        self._next_deadline_check = 0.0
        self.breakers = Breakers(settings.breaker_failures, settings.breaker_probe_s, clock)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def down(self) -> set[str]:
        """The dependencies whose circuit breaker is open."""
        return self.breakers.down

    def waiting_for(self, name: str) -> int:
        """Return how many requests wait for this dependency or foreign host."""
        return len(self._waiting.get(name, ()))

    def add(self, delivery: Delivery, error: Retryable) -> bool:
        """Queue a request that failed. Return False, without queueing it, when it has been tried enough."""
        now = self._clock()
        if delivery.failing_since is None:
            delivery.failing_since = now
        if error.stage not in (Stage.TAKE, Stage.FETCH):  # its image was read, and it passed what lies before
            passed = _ORDER[_ORDER.index(error.stage) - 1]
            self.breakers.record_progress(delivery, passed, was_read=True)
        self.breakers.record_failure(delivery, error)
        if error.otherwise is not None and delivery.refused_since is None:
            delivery.refused_since = now
        if self._is_exhausted(delivery, error, now):
            return False
        self._push(_waits_for(delivery, error), delivery, now + self._delay_s(delivery.attempts))
        return True

    def wait(self, delivery: Delivery, dependency: str) -> None:
        """Queue a request that was not tried, because `dependency` is down."""
        self._push(dependency, delivery, self._clock())

    def _push(self, name: str, delivery: Delivery, due: float) -> None:
        entry = _Entry(delivery.attempts > 0, due, next(self._sequence), delivery)
        heapq.heappush(self._waiting.setdefault(name, []), entry)

    def _is_exhausted(self, delivery: Delivery, error: Retryable, now: float) -> bool:
        if error.dependency is None:
            return delivery.attempts >= self._settings.max_attempts
        is_down = self.breakers.is_open(error.dependency)
        if error.otherwise is not None and not is_down:
            return self._is_final(delivery, error.dependency)
        failing_s = now - (delivery.failing_since or now)
        return failing_s > (self._settings.outage_retry_timeout_s if is_down else self._settings.retry_timeout_s)

    def _is_final(self, delivery: Delivery, dependency: str) -> bool:
        """Return whether a refusal concerns this image alone: another was read there since, or it was tried enough."""
        read_at, refused_since = self.breakers.last_read(dependency), delivery.refused_since
        others_are_read = read_at is not None and refused_since is not None and read_at > refused_since
        return others_are_read or delivery.attempts >= self._settings.max_attempts

    def record_success(self, delivery: Delivery, reached: Stage, was_read: bool = True) -> None:
        """Close the breakers that `Breakers.record_progress` names: the request got an answer, good or bad."""
        self.breakers.record_progress(delivery, reached, was_read)

    def due(self) -> list[Delivery]:
        """Remove and return the deliveries to submit now; for a dependency that is down, one per probe."""
        now = self._clock()
        due = self._pop_expired(now)
        for name in list(self._waiting):
            due += self._pop_probe(name, now) if self.breakers.is_open(name) else self._pop_due(name, now)
            if not self._waiting[name]:
                del self._waiting[name]
        return due

    def _pop_expired(self, now: float) -> list[Delivery]:
        """Remove what nobody wants any more: it ends without an attempt, so it must not use up a probe."""
        if now < self._next_deadline_check:
            return []
        self._next_deadline_check = now + DEADLINE_CHECK_S
        time_of_day = self._now()
        expired = {entry.delivery for heap in self._waiting.values() for entry in heap if _is_late(entry, time_of_day)}
        self.discard(expired)
        return list(expired)

    def _pop_probe(self, name: str, now: float) -> list[Delivery]:
        heap = self._waiting[name]
        if heap and heap[0].due <= now and self.breakers.allows(name):
            return [heapq.heappop(heap).delivery]
        return []

    def _pop_due(self, name: str, now: float) -> list[Delivery]:
        heap, due = self._waiting[name], []
        while heap and heap[0].due <= now:
            entry = heapq.heappop(heap)
            blocker = self.breakers.blocking(entry.delivery)
            if blocker is None:
                due.append(entry.delivery)
            else:
                self._push(blocker, entry.delivery, entry.due)
        return due

    def discard(self, deliveries: set[Delivery]) -> None:
        """Remove deliveries, for instance those that belong to another worker now."""
        for name, heap in list(self._waiting.items()):
            kept = [entry for entry in heap if entry.delivery not in deliveries]
            if len(kept) < len(heap):
                heapq.heapify(kept)
                self._waiting[name] = kept

    def _delay_s(self, attempts: int) -> float:
        """Return an exponential backoff, with full jitter over its upper half."""
        longest = min(self._settings.max_backoff_s, self._settings.backoff_s * 2.0 ** min(attempts - 1, 30))
        return longest * self._random.uniform(0.5, 1)


def _waits_for(delivery: Delivery, error: Retryable) -> str:
    """Return what to count the request under: a dependency, a foreign host, or "" for a part of this worker."""
    if error.dependency is not None:
        return error.dependency
    return delivery.origin.name if delivery.origin is not None and error.stage is Stage.FETCH else ""


def _is_late(entry: _Entry, now: datetime) -> bool:
    request = entry.delivery.request
    return request is not None and request.deadline is not None and now > request.deadline
