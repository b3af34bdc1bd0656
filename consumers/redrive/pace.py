"""Limits how many requests are published again per second."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Spreads work evenly: n requests are followed by a pause of n / `per_second` seconds, without saving up."""

    def __init__(
        self,
        per_second: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._per_second, self._clock, self._sleep = per_second, clock, sleep
        self._next = clock()

    def batch(self, largest: int) -> int:
        """Return how many requests make a transaction: at most those of one second."""
        return largest if self._per_second is None else max(1, min(largest, int(self._per_second)))

    def wait(self, count: int) -> None:
        """Block until `count` more requests may go out. Call it before a transaction begins, never inside one."""
        if self._per_second is None or not count:
            return
        now = self._clock()
        if self._next > now:
            self._sleep(self._next - now)
        self._next = max(self._next, now) + count / self._per_second
