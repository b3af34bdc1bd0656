"""Samples how many of a partition's offsets are records, in windows spread over what is left of it."""

from __future__ import annotations

from collections import deque

from sightstream.consumers.lag.unfinished import Unfinished

WINDOW = 200  # offsets
MAX_WINDOWS = 64
# The multiples of this, modulo 1, lie evenly however many there are.
_GOLDEN_RATIO = 0.6180339887498949


class Samples:
    """The newest windows of one partition: where each begins, its unfinished offsets, and the records among them."""

    def __init__(self) -> None:
        self._windows: deque[tuple[int, int, int]] = deque(maxlen=MAX_WINDOWS)
        self._asked = 0

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def offsets(self) -> int:
        return sum(offsets for _, offsets, _ in self._windows)

    @property
    def records(self) -> int:
        return sum(records for _, _, records in self._windows)

    def next_window(self, left: Unfinished) -> Unfinished:
        """Return the next window to read."""
        self._asked += 1
        movable = max(0, left.end - left.start - WINDOW)
        return left.window(left.start + int(movable * (self._asked * _GOLDEN_RATIO % 1)), WINDOW)

    def add(self, window: Unfinished, records: int) -> None:
        """Add the records of a window that was read to its end."""
        self._windows.append((window.start, len(window), records))

    def keep_within(self, left: Unfinished) -> None:
        """Forget the windows that are not in what is left."""
        if any(not left.start <= start < left.end for start, _, _ in self._windows):
            inside = [window for window in self._windows if left.start <= window[0] < left.end]
            self._windows = deque(inside, maxlen=MAX_WINDOWS)
