"""Samples how many of a partition's offsets are records, in windows spread over what is left of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from sightstream.consumers.lag.unfinished import Unfinished

WINDOW = 200  # offsets
MAX_WINDOWS = 64
# The multiples of each, modulo 1, lie evenly however many there are.
_GOLDEN_RATIO = 0.6180339887498949
_SILVER_RATIO = 0.4142135623730951


@dataclass(frozen=True, slots=True)
class _Sample:
    start: int
    end: int
    offsets: int  # that are unfinished
    records: int  # among these


class Samples:
    """The newest windows of one partition; each partition's begin at other parts of what is left of it."""

    def __init__(self, partition: int) -> None:
        self._phase = partition * _SILVER_RATIO
        self._windows: deque[_Sample] = deque(maxlen=MAX_WINDOWS)
        self._asked = 0

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def offsets(self) -> int:
        return sum(window.offsets for window in self._windows)

    @property
    def records(self) -> int:
        return sum(window.records for window in self._windows)

    def next_window(self, left: Unfinished) -> Unfinished:
        """Return the next window to read."""
        self._asked += 1
        movable = max(0, left.end - left.start - WINDOW)
        position = (self._phase + self._asked * _GOLDEN_RATIO) % 1
        return left.window(left.start + int(movable * position), WINDOW)

    def add(self, window: Unfinished, records: int) -> None:
        """Add the records of a window that was read to its end."""
        if offsets := len(window):
            self._windows.append(_Sample(window.start, window.end, offsets, records))

    def keep_within(self, left: Unfinished) -> None:
        """Forget the windows that are not in what is left."""
        if any(not left.start <= window.start < left.end for window in self._windows):
            inside = [window for window in self._windows if left.start <= window.start < left.end]
            self._windows = deque(inside, maxlen=MAX_WINDOWS)

    def estimate(self, left: Unfinished) -> float:
        """Return how many records are left: each window speaks for the offsets that are nearest to it.

        The windows of many readings do not lie evenly, and transactions grow and shrink with the load. There must be a
        window.
        """
        windows = sorted(self._windows, key=lambda window: window.start)
        between = [(one.end + following.start) // 2 for one, following in pairwise(windows)]
        bounds = pairwise([left.start, *between, left.end])
        return sum(
            window.records / window.offsets * len(Unfinished(start, end, left.finished))
            for window, (start, end) in zip(windows, bounds, strict=True)
        )
