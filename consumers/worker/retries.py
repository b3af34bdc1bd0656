"""When to try a request again: attempts for a foreign host, time for what this worker relies on.

When a dependency fails `outage_failures` times without a success between, it is down: its requests wait, one of them
is tried at every probe, and once many wait the worker takes one fresh record a probe. A fresh one that succeeds ends
the outage, so that a few broken objects can't pose as one.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random

from sightstream.consumers.metrics import BREAKER_OPEN
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.ticket import Ticket
from sightstream.pipeline.errors import Retryable
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.uri import origin


class Retries:
    """Not thread safe."""

    def __init__(self, settings: WorkerSettings, clock: Callable[[], float], random: Random) -> None:
        self._settings = settings
        self._clock = clock
        self._random = random
        self._waiting: list[tuple[float, int, Ticket, str | None]] = []
        self._sequence = count()
        self._failures: Counter[str] = Counter()
        self._of_the_engine: set[str] = set()
        self._probes = _Interval(settings.probe_interval_s)
        self._admissions = _Interval(settings.probe_interval_s)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def down(self) -> set[str]:
        """The dependencies that are held to be down."""
        return {name for name, failures in self._failures.items() if failures >= self._settings.outage_failures}

    def failed(self, ticket: Ticket, error: Retryable) -> bool:
        """Whether the request will be tried again; False: it has been tried enough."""
        now = self._clock()
        ticket.attempts += 1
        if ticket.failing_since is None:
            ticket.failing_since = now
        if error.dependency is not None:
            self._failures[error.dependency] += 1
            if error.stage is Stage.INFER:
                self._of_the_engine.add(error.dependency)
            self._show(error.dependency)
        if self._enough(ticket, error.dependency, now - ticket.failing_since):
            return False
        due = now + self._delay(ticket.attempts)
        heapq.heappush(self._waiting, (due, next(self._sequence), ticket, error.dependency))
        return True

    def _enough(self, ticket: Ticket, dependency: str | None, failing_s: float) -> bool:
        if dependency is None:
            return ticket.attempts >= self._settings.max_attempts
        down = dependency in self.down
        return failing_s > (self._settings.outage_patience_s if down else self._settings.patience_s)

    def succeeded(self, ticket: Ticket, reached: Stage) -> None:
        """The request got an answer, good or bad, from what it depends on up to that stage."""
        if not self._failures:
            return
        dependencies = {_origin(ticket)} | (self._of_the_engine if reached is Stage.INFER else set())
        for dependency in dependencies:
            if self._failures.pop(dependency, 0):
                self._show(dependency)

    def due(self) -> list[Ticket]:
        """The tickets to submit again now; while something is down, its tickets go one a probe."""
        now, down = self._clock(), self.down
        found: list[Ticket] = []
        held: list[tuple[float, int, Ticket, str | None]] = []
        while self._waiting and self._waiting[0][0] <= now:
            entry = heapq.heappop(self._waiting)
            if not down & {_origin(entry[2]), entry[3]} or self._probes.pass_at(now):
                found.append(entry[2])
            else:
                held.append(entry)
        for entry in held:
            heapq.heappush(self._waiting, entry)
        return found

    def admits(self) -> bool:
        """Whether a fresh record may be taken; while something is down and many wait for it, one a probe."""
        few = len(self._waiting) < self._settings.max_unpublished // 4
        return few or not self.down or self._admissions.open_at(self._clock())

    def admitted(self) -> None:
        """A fresh record was taken."""
        self._admissions.pass_at(self._clock())

    def forget(self, tickets: set[Ticket]) -> None:
        """These belong to another worker now."""
        self._waiting = [entry for entry in self._waiting if entry[2] not in tickets]
        heapq.heapify(self._waiting)

    def _delay(self, attempts: int) -> float:
        """Exponential, with full jitter over the upper half."""
        longest = min(self._settings.max_backoff_s, self._settings.backoff_s * 2 ** min(attempts - 1, 30))
        return longest * self._random.uniform(0.5, 1)

    def _show(self, dependency: str) -> None:
        BREAKER_OPEN.labels(dependency).set(dependency in self.down)


@dataclass(slots=True)
class _Interval:
    """Lets one through every `length_s`."""

    length_s: float
    _next: float = 0.0

    def open_at(self, now: float) -> bool:
        return now >= self._next

    def pass_at(self, now: float) -> bool:
        if not self.open_at(now):
            return False
        self._next = now + self.length_s
        return True


def _origin(ticket: Ticket) -> str:
    return origin(ticket.request.image.uri) if ticket.request else ""
