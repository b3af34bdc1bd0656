"""Tells which partitions Kafka no longer answers for: their newest results may be missing, so the table is no answer.

A partition's leader answers a fetch at least every other second, with or without records. When no answer has come for a
session timeout, another lookup may own the partition already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class Freshness:
    """Remembers when the last answer about each held partition changed. Used by one thread."""

    def __init__(self, stale_after_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stale_after_s = stale_after_s
        self._clock = clock
        self._answers: dict[int, tuple[object, float]] = {}  # partition -> the last answer's mark, when it was new

    def observe(self, answers: Mapping[int, object]) -> None:
        """Enter a mark of the last answer for each held partition; a partition seen first counts as fresh."""
        now = self._clock()
        self._answers = {partition: self._dated(partition, mark, now) for partition, mark in answers.items()}

    def _dated(self, partition: int, mark: object, now: float) -> tuple[object, float]:
        known = self._answers.get(partition)
        return known if known is not None and known[0] == mark else (mark, now)

    def stale(self) -> set[int]:
        """Return the held partitions without an answer for longer than the limit."""
        now = self._clock()
        return {partition for partition, (_, since) in self._answers.items() if now - since > self._stale_after_s}
