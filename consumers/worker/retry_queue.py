"""Decides when to try a request again: by attempts for a foreign host, by time for a dependency of this worker.

While a dependency is down its requests wait, and one is retried per probe interval. Once many are waiting, only one new
record is consumed per probe. A new record that succeeds ends the outage, so a handful of bad objects cannot look like
one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from random import Random

from sightstream.consumers.metrics import BREAKER_OPEN
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.pipeline.circuit_breaker import CircuitBreaker
from sightstream.pipeline.errors import Retryable
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.uri import origin

_ORDER = tuple(Stage)


class RetryQueue:
    """Requests that wait for their next attempt, and a circuit breaker per failing dependency. Not thread safe.

    The breakers count failures and are open or closed; this queue decides itself whom it lets through an open one.
    """

    def __init__(self, settings: WorkerSettings, clock: Callable[[], float], random: Random) -> None:
        self._settings = settings
        self._clock = clock
        self._random = random
        self._waiting: list[tuple[float, int, Delivery, str | None]] = []
        self._sequence = count()
        self._breakers: dict[str, CircuitBreaker] = {}  # of the dependencies that failed since their last success
        self._failed_at: dict[str, Stage] = {}  # the last stage at which each of them failed
        self._probes = _Interval(settings.breaker_probe_s)
        self._admissions = _Interval(settings.breaker_probe_s)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def down(self) -> set[str]:
        """The dependencies whose circuit breaker is open."""
        return {name for name, breaker in self._breakers.items() if breaker.is_open}

    def add(self, delivery: Delivery, error: Retryable) -> bool:
        """Queue a request that failed. Return False, without queueing it, when it has been tried enough."""
        now = self._clock()
        if delivery.failing_since is None:
            delivery.failing_since = now
        if error.dependency is not None:
            self._record_failure(error.dependency, error.stage)
        if self._is_exhausted(delivery, error.dependency, now - delivery.failing_since):
            return False
        due = now + self._delay_s(delivery.attempts)
        heapq.heappush(self._waiting, (due, next(self._sequence), delivery, error.dependency))
        return True

    def _record_failure(self, dependency: str, stage: Stage) -> None:
        if dependency not in self._breakers:
            self._breakers[dependency] = CircuitBreaker(self._settings.breaker_failures, clock=self._clock)
        self._breakers[dependency].record_failure()
        self._failed_at[dependency] = stage
        BREAKER_OPEN.labels(dependency).set(self._breakers[dependency].is_open)

    def _is_exhausted(self, delivery: Delivery, dependency: str | None, failing_s: float) -> bool:
        if dependency is None:
            return delivery.attempts >= self._settings.max_attempts
        down = self._breakers[dependency].is_open
        return failing_s > (self._settings.outage_retry_timeout_s if down else self._settings.retry_timeout_s)

    def record_success(self, delivery: Delivery, reached: Stage) -> None:
        """Close the breakers up to the stage `reached`: the request got an answer from there, good or bad.

        An answer about one image shows only that its own store or host is up; every image passes the later stages.
        """
        for dependency in [name for name in self._breakers if self._proves_up(name, delivery, reached)]:
            del self._breakers[dependency], self._failed_at[dependency]
            BREAKER_OPEN.labels(dependency).set(False)

    def _proves_up(self, dependency: str, delivery: Delivery, reached: Stage) -> bool:
        failed_at = self._failed_at[dependency]
        if failed_at is Stage.FETCH:
            return dependency == _origin(delivery)
        return _ORDER.index(failed_at) <= _ORDER.index(reached)

    def due(self) -> list[Delivery]:
        """Remove and return the deliveries to submit now; for a dependency that is down, one per probe.

        One past its deadline is no probe: the flow rejects it without asking the dependency.
        """
        now, down = self._clock(), self.down
        due: list[Delivery] = []
        delayed: list[tuple[float, int, Delivery, str | None]] = []
        while self._waiting and self._waiting[0][0] <= now:
            entry = heapq.heappop(self._waiting)
            is_up = not down & {_origin(entry[2]), entry[3]}
            if is_up or _is_expired(entry[2]) or self._probes.try_pass(now):
                due.append(entry[2])
            else:
                delayed.append(entry)
        for entry in delayed:
            heapq.heappush(self._waiting, entry)
        return due

    def admits_new(self) -> bool:
        """Return whether a new record may be consumed; while a dependency is down and many wait, one per probe."""
        few = len(self._waiting) < self._settings.max_unpublished // 4
        return few or not self.down or self._admissions.is_over(self._clock())

    def record_admission(self) -> None:
        """Record that a new record was consumed."""
        self._admissions.try_pass(self._clock())

    def discard(self, deliveries: set[Delivery]) -> None:
        """Remove deliveries that belong to another worker now."""
        self._waiting = [entry for entry in self._waiting if entry[2] not in deliveries]
        heapq.heapify(self._waiting)

    def _delay_s(self, attempts: int) -> float:
        """Return an exponential backoff, with full jitter over its upper half."""
        longest = min(self._settings.max_backoff_s, self._settings.backoff_s * 2.0 ** min(attempts - 1, 30))
        return longest * self._random.uniform(0.5, 1)


@dataclass(slots=True)
class _Interval:
    """Lets one through every `length_s`."""

    length_s: float
    _next: float = 0.0

    def is_over(self, now: float) -> bool:
        return now >= self._next

    def try_pass(self, now: float) -> bool:
        if not self.is_over(now):
            return False
        self._next = now + self.length_s
        return True


def _is_expired(delivery: Delivery) -> bool:
    deadline = delivery.request.deadline if delivery.request else None
    return deadline is not None and deadline < datetime.now(UTC)


def _origin(delivery: Delivery) -> str:
    return origin(delivery.request.image.uri) if delivery.request else ""
