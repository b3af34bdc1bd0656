"""How many bytes of images the flow holds, and a gate before more are fetched."""

from __future__ import annotations

import threading

from sightstream.pipeline.errors import Cancelled


class ByteBudget:
    """A soft bound: what is already under way may pass it, nothing new starts above it. Thread safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[int, int] = {}
        self._used = 0
        self._closed = False
        self._change = threading.Condition()

    @property
    def used(self) -> int:
        return self._used

    @property
    def exhausted(self) -> bool:
        return self.used >= self._limit

    def wait(self) -> None:
        """Blocks while the bound is reached. Raises Cancelled once closed."""
        with self._change:
            self._change.wait_for(lambda: self._closed or self._used < self._limit)
            if self._closed:
                raise Cancelled("the flow is stopping")

    def hold(self, owner: int, count: int) -> None:
        """`owner` now holds `count` bytes instead of what it held; 0 lets go."""
        with self._change:
            was_exhausted = self.exhausted
            self._used += count - self._held.pop(owner, 0)
            if count:
                self._held[owner] = count
            if was_exhausted and not self.exhausted:
                self._change.notify_all()

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
