"""Measures how fast a group's records arrive and are finished, and what the rest costs at that rate."""

from __future__ import annotations

from collections.abc import Mapping

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.lag.trend import Trend

BUSY_RECORDS = 2  # of each member


class _Moved:
    """Sums how far the offsets of some partitions moved on. A new one, or one that went back, did not move."""

    def __init__(self) -> None:
        self._offsets: dict[PartitionId, int] = {}
        self._sum = 0

    def add(self, offsets: Mapping[PartitionId, int]) -> int:
        """Return the sum so far."""
        self._sum += sum(max(0, at - self._offsets.get(partition, at)) for partition, at in offsets.items())
        self._offsets = dict(offsets)
        return self._sum


class Progress:
    """The rates of one group over the last `window_s`. Add each reading, then ask."""

    def __init__(self, window_s: float) -> None:
        self._arrived, self._completed = _Moved(), _Moved()
        self._arrivals, self._completions, self._lag = Trend(window_s), Trend(window_s), Trend(window_s)
        self._window_s, self._when_busy = window_s, Trend(window_s)
        self._member_s_per_record: float | None = None
        self._members = 0

    def add(
        self, at_s: float, records: int, members: int, ends: Mapping[PartitionId, int], done: Mapping[PartitionId, int]
    ) -> None:
        """Add a reading: lag in `records`, and for each partition its end and how many offsets before it are done."""
        self._arrivals.add(at_s, self._arrived.add(ends))
        completed = self._completed.add(done)
        self._forget_other_times(members, completed)
        self._completions.add(at_s, completed)
        self._lag.add(at_s, records)
        if not members or records < BUSY_RECORDS * members:
            self._when_busy = Trend(self._window_s)  # idle members would make a record look costly
            return
        self._when_busy.add(at_s, completed)
        if rate := self._when_busy.per_second():
            self._member_s_per_record = members / rate

    def _forget_other_times(self, members: int, completed: int) -> None:
        """How the lag fell with fewer or more members, or while these loaded their models, says nothing about now."""
        if members != self._members:
            self._lag.forget_all_but(0)
        elif self._completions.ends_rest(completed):
            self._lag.forget_all_but(1)
        self._members = members

    @property
    def arrivals_per_s(self) -> float | None:
        return self._arrivals.per_second()

    @property
    def completions_per_s(self) -> float | None:
        return self._completions.per_second()

    @property
    def member_s_per_record(self) -> float | None:
        """The seconds of one member that a record cost when the group was last busy; None before."""
        return self._member_s_per_record

    def seconds_to_empty(self) -> float | None:
        return self._lag.seconds_to_empty()
