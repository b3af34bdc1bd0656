"""Measures how long one request spends in each stage."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from prometheus_client import Histogram

from sightstream.pipeline.metrics import STAGE_SECONDS
from sightstream.pipeline.types import StageTime
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.result import StageSeconds


class StageClock:
    """Each stage counts from the end of the one before, and `times` has them all. For one thread at a time.

    The engine's stage begins once the engine has loaded, at `loaded_at`: what came before is in the total alone.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        loaded_at: Callable[[], float] = lambda: float("-inf"),
        *,
        is_shown: bool = True,
    ) -> None:
        """`is_shown`: in the metric of stages."""
        self._clock, self._loaded_at, self._is_shown = clock, loaded_at, is_shown
        self._started = self._last = clock()
        self._fetch_s = self._decode_s = self._infer_s = 0.0
        self.times: list[StageTime] = []

    def record(self, stage: Stage) -> float:
        """Add the seconds since the last call to this stage, and return them. A stage may be repeated."""
        now = self._clock()
        since = max(self._last, min(now, self._loaded_at())) if stage is Stage.INFER else self._last
        spent_s, self._last = now - since, now
        self.times.append((stage, since, now))
        if stage is Stage.FETCH:
            self._fetch_s += spent_s
        elif stage is Stage.DECODE:
            self._decode_s += spent_s
        else:
            self._infer_s += spent_s
        return spent_s

    def observe(self, stage: Stage) -> None:
        """Do the same, and show it in the metric of stages."""
        spent_s = self.record(stage)
        if self._is_shown:
            _histogram(stage).observe(spent_s)

    def seconds(self) -> StageSeconds:
        """Return the seconds of each stage until the last call."""
        return StageSeconds(
            fetch=round(self._fetch_s, 4),
            decode=round(self._decode_s, 4),
            infer=round(self._infer_s, 4),
            total=round(self._last - self._started, 4),
        )


@cache  # looking up a label costs more than counting
def _histogram(stage: Stage) -> Histogram:
    return STAGE_SECONDS.labels(stage.value)
