"""A budget for the bytes of images that the flow holds, and a gate before more are fetched."""

from __future__ import annotations

import threading

from sightstream.pipeline.errors import Cancelled


class ByteBudget:
    """A soft limit: requests in progress may exceed it, but none starts while it is reached. Thread safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._reserved: dict[int, int] = {}
        self._used_bytes = 0
        self._closed = False
        self._change = threading.Condition()

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    @property
    def exhausted(self) -> bool:
        return self._used_bytes >= self._limit_bytes

    def wait(self) -> None:
        """Block while the limit is reached. Raises Cancelled once closed."""
        with self._change:
            self._change.wait_for(lambda: self._closed or not self.exhausted)
            if self._closed:
                raise Cancelled("the flow is stopping")

    def reserve(self, owner: int, count: int) -> None:
        """Let `owner` hold `count` bytes instead of what it held. Never blocks."""
        with self._change:
            was_exhausted = self.exhausted
            self._used_bytes += count - self._reserved.pop(owner, 0)
            if count:
                self._reserved[owner] = count
            if was_exhausted and not self.exhausted:
                self._change.notify_all()

    def release(self, owner: int) -> None:
        self.reserve(owner, 0)

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
