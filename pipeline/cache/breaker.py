"""Leaves alone what keeps failing, and asks one question now and then to see whether it is well again."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Breaker:
    """Thread safe. Opens at `failures` in a row; then lets one attempt through every `pause_s` until one succeeds."""

    def __init__(self, failures: int, pause_s: float, clock: Callable[[], float]) -> None:
        self._limit, self._pause_s, self._clock = failures, pause_s, clock
        self._failures = 0
        self._next_probe = 0.0
        self._lock = threading.Lock()

    def allows(self) -> bool:
        """Whether to try now; to be followed by `succeeded` or `failed`."""
        with self._lock:
            if self._failures < self._limit:
                return True
            now = self._clock()
            if now < self._next_probe:
                return False
            self._next_probe = now + self._pause_s  # for the others: this one is the probe
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0

    def failed(self) -> bool:
        """Whether this one opened it."""
        with self._lock:
            self._failures += 1
            self._next_probe = self._clock() + self._pause_s
            return self._failures == self._limit
