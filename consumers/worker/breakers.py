"""A circuit breaker per dependency that fails, and what proves that it works again.

A dependency is an origin (a bucket, a listed host, a file root), or a part that every image passes, such as the decoder
or a model server.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sightstream.consumers.metrics import BREAKER_OPEN
from sightstream.consumers.worker.delivery import Delivery
from sightstream.pipeline.circuit_breaker import CircuitBreaker
from sightstream.pipeline.errors import Retryable
from sightstream.schemas.wire.dead_letter import Stage

log = logging.getLogger(__name__)

# Publishers choose the names of buckets, and of hosts below a pattern: what is remembered of them is bounded.
MAX_BREAKERS = 1024
MAX_ORIGINS = 4096
_ORDER = tuple(Stage)


@dataclass(slots=True, eq=False)
class _Failing:
    """A dependency that failed since its last success, `is_origin` or a part that every image passes.

    `refuses`: its last failure was a refusal.
    """

    label: str
    breaker: CircuitBreaker
    stage: Stage
    is_origin: bool
    refuses: bool = False


class Breakers:
    """Not thread safe."""

    def __init__(self, failure_threshold: int, probe_interval_s: float, clock: Callable[[], float]) -> None:
        self._failure_threshold, self._probe_interval_s, self._clock = failure_threshold, probe_interval_s, clock
        self._failing: OrderedDict[str, _Failing] = OrderedDict()
        self._last_read: OrderedDict[str, float] = OrderedDict()  # by origin

    @property
    def down(self) -> set[str]:
        """The dependencies whose circuit breaker is open."""
        return {name for name, failing in self._failing.items() if failing.breaker.is_open}

    def is_open(self, dependency: str) -> bool:
        return dependency in self._failing and self._failing[dependency].breaker.is_open

    def allows(self, dependency: str) -> bool:
        """Return whether to try it now: while it is down, once per probe interval."""
        return dependency not in self._failing or self._failing[dependency].breaker.allows()

    def blocking(self, delivery: Delivery) -> str | None:
        """Return a dependency that is down and that the delivery needs: its origin, or a part that all images pass."""
        if not self._failing:
            return None
        origin = delivery.origin
        if origin is not None and origin.is_dependency and self.is_open(origin.name):
            return origin.name
        return next((name for name, part in self._failing.items() if not part.is_origin and part.breaker.is_open), None)

    def last_read(self, origin: str) -> float | None:
        """Return when an image was last read from there; None if never, or too long ago to be remembered."""
        return self._last_read.get(origin)

    # --- what happened ------------------------------------------------------------------------------------

    def record_failure(self, delivery: Delivery, error: Retryable) -> None:
        """Count a failure of `error.dependency`.

        A refusal counts once per delivery: a run of them is an outage only when it meets many requests.
        """
        dependency = error.dependency
        if dependency is None:
            return
        failing = self._failing.get(dependency) or self._add(dependency, delivery, error.stage)
        failing.stage, failing.refuses = error.stage, error.otherwise is not None
        if failing.refuses and delivery.refused_since is not None:
            return
        if failing.breaker.record_failure():
            log.warning("%s is down, its requests wait: %s", dependency, error)
            self._show(failing.label)

    def _add(self, dependency: str, delivery: Delivery, stage: Stage) -> _Failing:
        if len(self._failing) >= MAX_BREAKERS:
            self._drop(next((name for name in self._failing if not self.is_open(name)), next(iter(self._failing))))
        breaker = CircuitBreaker(self._failure_threshold, self._probe_interval_s, self._clock)
        is_origin = delivery.origin is not None and delivery.origin.name == dependency
        # The metric's label is never a name that a publisher chose.
        label = delivery.origin.label if delivery.origin is not None and is_origin else dependency
        self._failing[dependency] = _Failing(label, breaker, stage, is_origin)
        return self._failing[dependency]

    def record_progress(self, delivery: Delivery, reached: Stage, was_read: bool) -> None:
        """Close the breakers of what the delivery has passed: up to the stage `reached`, and of its own origin only.

        `was_read` says that its image was read. An answer without an image, such as "not found", ends an outage of
        connections and servers, but not one in which the dependency refuses what it should give.
        """
        if was_read and delivery.origin is not None:
            self._record_read(delivery.origin.name)
        for name in [name for name in self._failing if self._works_again(name, delivery, reached, was_read)]:
            if self.is_open(name):
                log.info("%s works again", name)
            self._drop(name)

    def _record_read(self, origin: str) -> None:
        self._last_read[origin] = self._clock()
        self._last_read.move_to_end(origin)
        if len(self._last_read) > MAX_ORIGINS:
            self._last_read.popitem(last=False)

    def _works_again(self, dependency: str, delivery: Delivery, reached: Stage, was_read: bool) -> bool:
        failing = self._failing[dependency]
        if failing.is_origin:
            is_own = delivery.origin is not None and delivery.origin.name == dependency
            return is_own and (was_read or not failing.refuses)
        if failing.stage is Stage.FETCH:
            return was_read
        return _ORDER.index(failing.stage) <= _ORDER.index(reached)

    def _drop(self, dependency: str) -> None:
        failing = self._failing.pop(dependency)
        if failing.breaker.is_open:
            self._show(failing.label)

    def _show(self, label: str) -> None:
        is_open = any(failing.breaker.is_open for failing in self._failing.values() if failing.label == label)
        BREAKER_OPEN.labels(label).set(is_open)
