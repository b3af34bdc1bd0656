"""Adaptive concurrency limits, one per store or host: as many fetches at once as the server can serve.

Limiters             keeps one ConcurrencyLimiter per store or host
ConcurrencyLimiter   admits fetches while there is capacity, and learns from how they end; waiting is the flow's matter
AimdLimit            is the number that the limiter moves up and down
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from sightstream.pipeline.circuit_breaker import CircuitBreaker
from sightstream.pipeline.fetch.errors import BusyError, FailureKind, TransientError
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.metrics import FETCH_LIMIT

MAX_LIMITERS = 1024


class AimdLimit:
    """A number between 1 and `maximum`: additive increase, multiplicative decrease (Chiu and Jain, 1989).

    Not thread safe.
    """

    def __init__(self, start: int, maximum: int, decrease_factor: float) -> None:
        self._value = float(min(start, maximum))
        self._maximum = maximum
        self._decrease_factor = decrease_factor

    @property
    def value(self) -> int:
        return int(self._value)

    def on_success(self, in_use: int) -> None:
        """Raise the limit if it was needed: `in_use` fetches ran when this one ended, itself included."""
        if in_use >= self.value:
            self._value = min(self._maximum, self._value + 1 / self._value)

    def on_overload(self) -> None:
        """Lower the limit, because the server throttles or is too slow."""
        self._value = max(1.0, self._value * self._decrease_factor)


class ConcurrencyLimiter:
    """Limits the fetches from one store or host that run at once. Thread safe; never blocks.

    `try_acquire` returns an epoch, and one `release` with that epoch must follow. A failure starts a new epoch;
    failures of requests from an older one are ignored, since they report the same incident.
    """

    def __init__(self, name: str, group: str, limit: AimdLimit, breaker_failures: int) -> None:
        self.name, self.group = name, group
        self._limit = limit
        self._breaker = CircuitBreaker(breaker_failures)
        self._epoch = 0
        self._lock = threading.Lock()
        self._in_use = 0

    def try_acquire(self) -> int | None:
        """Return the epoch if a fetch may start now, else None."""
        with self._lock:
            if not self.has_capacity:
                return None
            self._in_use += 1
            return self._epoch

    def release(self, epoch: int, error: TransientError | None) -> None:
        """End a fetch. `error` is None when the server answered properly, even if the answer was a refusal."""
        with self._lock:
            self._record(epoch, error)
            self._in_use -= 1

    def _record(self, epoch: int, error: TransientError | None) -> None:
        if error is None:
            self._breaker.record_success()
            self._limit.on_success(self._in_use)
        elif epoch == self._epoch:
            self._epoch += 1
            self._breaker.record_failure()
            if error.is_overload:
                self._limit.on_overload()

    @property
    def is_down(self) -> bool:
        """Whether so many fetches failed in a row that an immediate retry would not help."""
        return self._breaker.is_open

    @property
    def is_idle(self) -> bool:
        return self._in_use == 0

    @property
    def has_capacity(self) -> bool:
        return self._in_use < self._limit.value

    @property
    def limit(self) -> int:
        return self._limit.value


class Limiters:
    """Keeps the limiters of one kind of source, each made at its first use. Thread safe.

    Beyond MAX_LIMITERS it forgets the idle one that was not used for longest.
    """

    def __init__(self, kind: str, settings: FetchSettings) -> None:
        self._settings = settings
        self._gauge = FETCH_LIMIT.labels(kind)
        self._lock = threading.Lock()
        self._limiters: OrderedDict[str, ConcurrencyLimiter] = OrderedDict()

    @contextmanager
    def limit(self, limiter: ConcurrencyLimiter) -> Iterator[None]:
        """Run the block as one of those that the limit allows, and learn from how it ends. Raises BusyError."""
        epoch = limiter.try_acquire()
        if epoch is None:
            raise BusyError(limiter)
        failure: TransientError | None = None
        try:
            yield
        except TransientError as error:
            failure = None if error.kind is FailureKind.DENIED else error  # a refusal is an answer
            raise
        finally:
            self._release(limiter, epoch, failure)

    def _release(self, limiter: ConcurrencyLimiter, epoch: int, failure: TransientError | None) -> None:
        before = limiter.limit
        limiter.release(epoch, failure)
        if failure is not None and limiter.is_down:
            failure.retryable = False
        if limiter.limit != before:
            self._update_gauge()

    def get(self, name: str, maximum: int, group: str | None = None) -> ConcurrencyLimiter:
        """Return the limiter of a store or host, which lets at most `maximum` run at once; alone without `group`."""
        with self._lock:
            known = self._limiters.pop(name, None)
            if known is None and len(self._limiters) >= MAX_LIMITERS:
                self._evict_one()
            limiter = self._limiters[name] = known or self._new(name, maximum, group or name)
        if known is None:
            self._update_gauge()
        return limiter

    def _new(self, name: str, maximum: int, group: str) -> ConcurrencyLimiter:
        settings = self._settings
        limit = AimdLimit(settings.start_concurrency, maximum, settings.slow_down_factor)
        return ConcurrencyLimiter(name, group, limit, settings.breaker_failures)

    def _evict_one(self) -> None:
        oldest = next((name for name, limiter in self._limiters.items() if limiter.is_idle), None)
        if oldest is not None:
            del self._limiters[oldest]

    def _update_gauge(self) -> None:
        with self._lock:
            self._gauge.set(min((limiter.limit for limiter in self._limiters.values()), default=0))
