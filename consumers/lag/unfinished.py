"""The offsets that a group has left in a partition: from the committed one on, without those finished beyond it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from sightstream.consumers.kafka.broker import CommittedOffset
from sightstream.consumers.kafka.offset_metadata import Ranges, UnreadableMetadata, decode
from sightstream.consumers.kafka.tail import Span


@dataclass(frozen=True, slots=True)
class FinishedOffsets:
    """Offsets that are finished beyond the committed one, as half-open ranges that ascend."""

    ranges: Ranges = ()

    def __contains__(self, offset: object) -> bool:
        if not isinstance(offset, int):
            return False
        index = bisect_right(self.ranges, offset, key=lambda span: span[0])
        return index > 0 and offset < self.ranges[index - 1][1]

    def between(self, start: int, end: int) -> int:
        """Count the finished offsets in [`start`, `end`)."""
        return sum(max(0, min(stop, end) - max(first, start)) for first, stop in self.ranges)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The offsets [`start`, `end`) without the finished ones. `len` counts them, transaction markers included."""

    start: int
    end: int
    finished: FinishedOffsets = FinishedOffsets()

    def __len__(self) -> int:
        return max(0, self.end - self.start - self.finished.between(self.start, self.end))

    def window(self, start: int, offsets: int) -> Unfinished:
        """Return those in the window of so many `offsets` that begins at `start`."""
        return Unfinished(start, min(start + offsets, self.end), self.finished)

    def span(self, *, count: bool) -> Span:
        """Return what to read: every record with `count`, else up to the first unfinished one."""
        return Span(self.start, self.end, self.finished, count)


def unfinished(committed: CommittedOffset | None, earliest: int, end: int) -> Unfinished:
    """Return what is left up to `end`; a group that never committed has everything from the `earliest` offset on."""
    start = earliest if committed is None else max(committed.offset, earliest)
    return Unfinished(start, end, finished_beyond(committed))


def finished_beyond(committed: CommittedOffset | None) -> FinishedOffsets:
    """Return what is finished beyond the committed offset: nothing where its metadata is not a worker's."""
    try:
        return FinishedOffsets(decode(committed.metadata, committed.offset) if committed else ())
    except UnreadableMetadata:
        return FinishedOffsets()  # the worker stops on it; for lag it only means that nothing is known to be finished


def removed_before_read(committed: CommittedOffset | None, earliest: int) -> int:
    """Return how many offsets left the topic before the group finished them."""
    if committed is None or committed.offset >= earliest:
        return 0
    return earliest - committed.offset - finished_beyond(committed).between(committed.offset, earliest)
