"""Tells a person how far a worker has come: a line now and then, and one at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

INTERVAL_S = 30.0


@dataclass(slots=True)
class CommittedCounts:
    """What this process has committed since it started."""

    results: int = 0
    dead_letters: int = 0

    def __str__(self) -> str:
        return f"{self.results} answered, {self.dead_letters} dead letters"


class ProgressLog:
    """Logs the counts at most every INTERVAL_S, and only when they have changed."""

    def __init__(self, counts: CommittedCounts, clock: Callable[[], float]) -> None:
        self._counts, self._clock = counts, clock
        self._logged, self._next_at = str(counts), clock() + INTERVAL_S

    def log_if_due(self, in_progress: int) -> None:
        if self._clock() < self._next_at:
            return
        self._next_at = self._clock() + INTERVAL_S
        if (text := str(self._counts)) != self._logged:
            self._logged = text
            log.info("%s, %d in progress", text, in_progress)

    def log_end(self) -> None:
        log.info("the worker has left its group: %s", self._counts)
