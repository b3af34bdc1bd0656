"""From a lag that falls, when it will be gone."""

from __future__ import annotations

from collections import deque


class Trend:
    """The lag of one group over the last `window_seconds`; the straight line through it says the rate."""

    def __init__(self, window_seconds: float) -> None:
        self._window = window_seconds
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, at: float, records: int) -> None:
        """`at` is seconds on a clock that never goes back."""
        self._samples.append((at, records))
        while self._samples[0][0] < at - self._window:
            self._samples.popleft()

    def seconds_to_empty(self) -> float | None:
        """0 when nothing is left; None while the lag does not fall, or was read only once."""
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
