"""Estimates from a falling lag when the queue is empty."""

from __future__ import annotations

from collections import deque


class Trend:
    """The lag of one group over the last `window_s`; the slope of the straight line through it is the rate."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, at_s: float, records: int) -> None:
        """Add a reading of time `at_s` on a clock that never goes back."""
        self._samples.append((at_s, records))
        while self._samples[0][0] < at_s - self._window_s:
            self._samples.popleft()

    def seconds_to_empty(self) -> float | None:
        """Return 0 when nothing is left, None while the lag does not fall or was read only once."""
        if self._samples and self._samples[-1][1] == 0:
            return 0.0
        rate = self._fall_per_second()
        return self._samples[-1][1] / rate if rate > 0 else None

    def _fall_per_second(self) -> float:
        count = len(self._samples)
        if count < 2:
            return 0.0
        mean_at = sum(at for at, _ in self._samples) / count
        mean_records = sum(records for _, records in self._samples) / count
        spread = sum((at - mean_at) ** 2 for at, _ in self._samples)
        slope = sum((at - mean_at) * (records - mean_records) for at, records in self._samples)
        return -slope / spread if spread else 0.0
