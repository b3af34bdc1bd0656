"""Measures how fast a number changes over a window of time."""

from __future__ import annotations

from collections import deque


class Trend:
    """A number over the last `window_s`; the slope of the straight line through it is the rate."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, at_s: float, number: int) -> None:
        """Add a reading of time `at_s` on a clock that never goes back."""
        self._samples.append((at_s, number))
        while self._samples[0][0] < at_s - self._window_s:
            self._samples.popleft()

    def forget_all_but(self, last: int) -> None:
        """Keep only so many of the last readings."""
        while len(self._samples) > last:
            self._samples.popleft()

    def ends_rest(self, number: int) -> bool:
        """Return whether `number` is the first one that differs after two equal readings or more."""
        numbers = {known for _, known in self._samples}
        return len(self._samples) > 1 and len(numbers) == 1 and number not in numbers

    def per_second(self) -> float | None:
        """Return the rate, None before there are readings of two times."""
        count = len(self._samples)
        mean_at = sum(at for at, _ in self._samples) / max(count, 1)
        mean_number = sum(number for _, number in self._samples) / max(count, 1)
        spread = sum((at - mean_at) ** 2 for at, _ in self._samples)
        slope = sum((at - mean_at) * (number - mean_number) for at, number in self._samples)
        return slope / spread if spread else None

    def seconds_to_empty(self) -> float | None:
        """Return when the number is 0 at this rate: 0 when it is, None while it does not fall or was read only once."""
        if self._samples and self._samples[-1][1] == 0:
            return 0.0
        rate = self.per_second()
        return None if rate is None or rate >= 0 else self._samples[-1][1] / -rate
