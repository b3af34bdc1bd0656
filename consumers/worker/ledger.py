"""One partition's account of its offsets: taken, finished, published.

Work finishes out of order. The committed offset is the lowest unpublished one; what is published beyond it is
written into the offset's metadata, so that an answer goes out as soon as it is there and is never computed twice.

An offset that is never delivered (a transaction marker, an aborted or compacted record) needs no account: a
partition is delivered in order, so once the log has been read past it, it can't come.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Generic, TypeVar

from sightstream.consumers.kafka.offset_metadata import Ranges, encode

Outcome = TypeVar("Outcome")

# The broker takes 4,096 characters by default (`offset.metadata.max.bytes`).
NOTE_LIMIT = 3900


class LedgerError(Exception):
    """The log did not behave as a log: stop, and take the partition anew."""


@dataclass(frozen=True, slots=True)
class CommitPoint:
    """What to commit for one partition: `offset` is the next to read, `note` its metadata."""

    offset: int
    note: str


@dataclass(slots=True)
class _Entry(Generic[Outcome]):
    key: bytes | None
    outcome: Outcome | None = None


class Ledger(Generic[Outcome]):
    """Not thread safe: the thread that owns the consumer owns the ledgers."""

    def __init__(self, committed: int, published: Ranges = (), note_limit: int = NOTE_LIMIT) -> None:
        """`committed` and `published` (ranges beyond it) are what the group's last commit says."""
        self._next = committed
        self._published = published
        self._unpublished: dict[int, _Entry[Outcome]] = {}  # ascending, as delivered
        self._note_limit = note_limit
        self._committed = CommitPoint(committed, encode(committed, published))

    def __len__(self) -> int:
        """Offsets taken and not yet published."""
        return len(self._unpublished)

    @property
    def has_room(self) -> bool:
        """False while the note of what is done out of order nears the broker's limit.

        What lies below an inherited note's end can always be taken: finishing it is what shortens the note.
        """
        inherited_end = self._published[-1][1] if self._published else 0
        return self._next < inherited_end or len(self._committed.note) < self._note_limit // 2

    def take(self, offset: int, key: bytes | None) -> bool:
        """Enters a delivered offset. False: it was published before, by us or by the partition's last owner."""
        self.skip_to(offset)
        self._next = offset + 1
        if _holds(self._published, offset):
            return False
        self._unpublished[offset] = _Entry(key)
        return True

    def skip_to(self, position: int) -> None:
        """The log holds nothing to deliver before `position`. Raises LedgerError if it lies behind us."""
        if position < self._next:
            raise LedgerError(f"offset {position} was delivered after {self._next - 1}; was the topic recreated?")
        self._next = position

    def is_open(self, offset: int) -> bool:
        """Whether an offset is taken and not yet published."""
        return offset in self._unpublished

    def finish(self, offset: int, outcome: Outcome) -> None:
        """Raises KeyError for an offset that is not taken."""
        self._unpublished[offset].outcome = outcome

    def publishable(self, room: Callable[[Outcome], bool] = lambda _: True) -> dict[int, Outcome]:
        """Finished outcomes by ascending offset: none before an unfinished one of its key, and the note fits.

        `room` is asked in that order and ends it by False.
        """
        ready = dict(takewhile(lambda item: room(item[1]), self._finished_in_key_order()))
        while ready and len(self.commit_point(ready).note) > self._note_limit:
            lowest_first = list(ready.items())
            ready = dict(lowest_first[: len(lowest_first) // 2])
        return ready

    def _finished_in_key_order(self) -> Iterator[tuple[int, Outcome]]:
        waiting: set[bytes] = set()
        for offset, entry in self._unpublished.items():
            if entry.outcome is not None and entry.key not in waiting:
                yield offset, entry.outcome
            elif entry.key is not None:
                waiting.add(entry.key)

    def commit_point(self, publishing: Collection[int] = ()) -> CommitPoint:
        """What to commit together with the outcomes of `publishing`."""
        open_offsets = [offset for offset in self._unpublished if offset not in publishing]
        done_before = (0, min(open_offsets, default=self._next))
        unread = ((max(start, self._next), end) for start, end in self._published if end > self._next)
        (_, base), *beyond = _merge([done_before, *self._done_between(open_offsets, publishing), *unread])
        return CommitPoint(base, encode(base, tuple(beyond)))

    def _done_between(self, open_offsets: list[int], publishing: Collection[int]) -> Iterator[tuple[int, int]]:
        """The gaps above open offsets that hold something published; one of markers alone is not worth noting."""
        marks = sorted([*publishing, *(start for start, _ in self._published)])
        for offset, following in pairwise([*open_offsets, self._next]):
            index = bisect_left(marks, offset + 1)
            if index < len(marks) and marks[index] < following:
                yield offset + 1, following

    def has_news(self, point: CommitPoint) -> bool:
        """Whether `point` differs from what is committed."""
        return point != self._committed

    def settle(self, point: CommitPoint, published: Ranges) -> None:
        """`point` is what Kafka holds now, `published` its note read: forgets what that says is published."""
        self._committed = point
        self._published = _merge([(0, point.offset), *published])
        for offset in [o for o in self._unpublished if _holds(self._published, o)]:
            del self._unpublished[offset]


def _holds(spans: Ranges, offset: int) -> bool:
    return any(start <= offset < end for start, end in spans)


def _merge(spans: list[tuple[int, int]]) -> Ranges:
    """The same offsets as ascending ranges that do not touch."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
