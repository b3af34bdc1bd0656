"""A circuit breaker: stops calling a failing backend and lets one probe through every `probe_interval_s`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Thread safe. Opens after `failure_threshold` failures in a row and closes at the next success.

    While open, `allows` returns True once per probe interval. An owner with probing rules of its own keeps the default
    interval, does not call `allows`, and reads `is_open`.
    """

    def __init__(
        self, failure_threshold: int, probe_interval_s: float = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failure_threshold, self._probe_interval_s, self._clock = failure_threshold, probe_interval_s, clock
        self._failures = 0
        self._next_probe = 0.0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        return self._failures >= self._failure_threshold

    def allows(self) -> bool:
        """Return whether to call the backend now. If so, `record_success` or `record_failure` must follow."""
        with self._lock:
            if not self.is_open:
                return True
            now = self._clock()
            if now < self._next_probe:
                return False
            self._next_probe = now + self._probe_interval_s  # this caller is the probe, the others wait
            return True

    def record_success(self) -> None:
        """Close the breaker and start counting anew."""
        with self._lock:
            self._failures = 0

    def record_failure(self) -> bool:
        """Count a failure and return whether it opened the breaker."""
        with self._lock:
            self._failures += 1
            self._next_probe = self._clock() + self._probe_interval_s
            return self._failures == self._failure_threshold
