"""Counts what is in flight, and makes callers wait when that is too much."""

from __future__ import annotations

from threading import Condition


class Buffer:
    """Limits the records and bytes in flight. Thread safe."""

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._records = 0
        self._bytes = 0
        self._closed = False
        self._changed = Condition()

    @property
    def records(self) -> int:
        return self._records

    @property
    def closed(self) -> bool:
        return self._closed

    def acquire(self, size: int, timeout_s: float) -> bool:
        """Block until a record of `size` bytes fits; return False when it did not in time, or the buffer is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._fits(size), timeout_s)
            if self._closed or not self._fits(size):
                return False
            self._records += 1
            self._bytes += size
            return True

    def release(self, size: int) -> None:
        """Stop counting one record of `size` bytes, and wake the callers that wait."""
        with self._changed:
            self._records -= 1
            self._bytes -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Accept nothing more; callers that wait get False."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_empty(self, timeout_s: float) -> bool:
        """Block until nothing is in flight; return False when something still was after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._records == 0, timeout_s)

    def _fits(self, size: int) -> bool:
        # A record larger than the whole buffer still passes alone, or it would wait for ever.
        return self._records == 0 or (self._records < self._max_records and self._bytes + size <= self._max_bytes)
