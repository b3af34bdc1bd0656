"""A bound on one fetch, handed down through all that it does."""

from __future__ import annotations

import time
from collections.abc import Callable

from sightstream.pipeline.fetch.trouble import Transient, Trouble


class TimeLimit:
    """Ends `seconds` from now. Thread safe."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def left_s(self) -> float:
        """More than zero. Raises Transient when the time is over."""
        left = self._end - self._clock()
        if left <= 0:
            raise Transient(Trouble.SLOW, f"not read within {self._seconds:g} s")
        return left

    def leaves(self, seconds: float) -> bool:
        """Whether more than `seconds` are left, by what the clock will say then: a difference is rounded otherwise."""
        return self._clock() + seconds < self._end
