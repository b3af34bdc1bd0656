"""The deadline of one fetch, handed down to everything that the fetch waits for."""

from __future__ import annotations

import time
from collections.abc import Callable

from sightstream.pipeline.fetch.errors import FailureKind, TransientError


class Deadline:
    """Ends `timeout_s` after it is made. Thread safe."""

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._end = clock() + timeout_s

    def remaining_s(self) -> float:
        """Return the remaining time, more than zero. Raises TransientError when none remains."""
        remaining_s = self._end - self._clock()
        if remaining_s <= 0:
            raise TransientError(FailureKind.SLOW, f"not read within {self._timeout_s:g} s")
        return remaining_s

    def allows(self, pause_s: float) -> bool:
        """Return whether time remains after a pause. Compared as absolute times; subtracting first would round."""
        return self._clock() + pause_s < self._end
