"""Tracks which offsets of one partition are pending, finished and published.

Work finishes out of order. The committed offset is the lowest unpublished one; offsets that are published beyond it are
written into the offset's metadata, so that an answer is published as soon as it is there and is never computed twice.

An offset that is never delivered (a transaction marker, an aborted or compacted record) needs no entry: a partition is
delivered in order, so once the log has been read past it, it can't come.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile
from operator import itemgetter
from typing import Generic, TypeVar

from sightstream.consumers.kafka.offset_metadata import Ranges, encode

T = TypeVar("T")

# The broker accepts 4,096 characters by default (`offset.metadata.max.bytes`).
METADATA_LIMIT_BYTES = 3900


class LedgerError(Exception):
    """The log did not behave as a log: stop, and read the partition again."""


@dataclass(frozen=True, slots=True)
class CommitPoint:
    """What to commit for one partition: `offset` is the next one to read, `metadata` the text beside it."""

    offset: int
    metadata: str


@dataclass(slots=True)
class _Entry(Generic[T]):
    key: bytes | None
    outcome: T | None = None


class Ledger(Generic[T]):
    """The offsets of one partition. Not thread safe: the thread that owns the consumer owns the ledgers."""

    def __init__(
        self, committed: int, published: Ranges = (), metadata_limit_bytes: int = METADATA_LIMIT_BYTES
    ) -> None:
        """Start from the group's last commit: its offset, and the ranges beyond it that are `published`."""
        self._next = committed
        self._published = published
        self._unpublished: dict[int, _Entry[T]] = {}  # ascending, as delivered
        self._finished = 0  # how many of them have an outcome
        self._metadata_limit_bytes = metadata_limit_bytes
        self._committed = CommitPoint(committed, encode(committed, published))

    def __len__(self) -> int:
        """Count the offsets that were started and not yet published."""
        return len(self._unpublished)

    @property
    def unfinished(self) -> int:
        """How many offsets were started and have no outcome yet."""
        return len(self._unpublished) - self._finished

    @property
    def position(self) -> int:
        """The next offset that the log delivers."""
        return self._next

    @property
    def accepts_more(self) -> bool:
        """False while the metadata nears the broker's limit.

        Offsets below the end of inherited metadata are always accepted: finishing them is what shortens it.
        """
        inherited_end = self._published[-1][1] if self._published else 0
        return self._next < inherited_end or len(self._committed.metadata) < self._metadata_limit_bytes // 2

    @property
    def has_spare_metadata(self) -> bool:
        """False once half of what the metadata may grow to is used: then no more requests that only wait are started.

        The rest is for the offsets that finish out of order around them.
        """
        return len(self._committed.metadata) < self._metadata_limit_bytes // 4

    def was_published(self, offset: int) -> bool:
        """Return whether an offset was published before it was delivered to us, or since."""
        return _contains(self._published, offset)

    def start(self, offset: int, key: bytes | None) -> bool:
        """Enter a delivered offset. Return False if it was published before, by us or by the partition's last owner.

        Raises LedgerError.
        """
        self.advance_to(offset)
        self._next = offset + 1
        if self.was_published(offset):
            return False
        self._unpublished[offset] = _Entry(key)
        return True

    def advance_to(self, position: int) -> None:
        """Record that the log has nothing to deliver before `position`. Raises LedgerError if that is behind us."""
        if position < self._next:
            raise LedgerError(f"offset {position} was delivered after {self._next - 1}; was the topic recreated?")
        self._next = position

    def pass_over(self, position: int) -> int:
        """Go on at `position`, as the log no longer holds what lies before it.

        Return how many of these offsets were neither delivered nor published. Raises LedgerError.
        """
        passed = [(max(start, self._next), min(end, position)) for start, end in self._published]
        unread = position - self._next - sum(max(0, end - start) for start, end in passed)
        self.advance_to(position)
        return unread

    def is_pending(self, offset: int) -> bool:
        """Return whether an offset was started and is not yet published."""
        return offset in self._unpublished

    def finish(self, offset: int, outcome: T) -> None:
        """Enter the outcome of an offset, or replace it. Raises KeyError for one that is not pending."""
        entry = self._unpublished[offset]
        self._finished += entry.outcome is None
        entry.outcome = outcome

    def publishable(self, fits: Callable[[T], bool] = lambda _: True) -> dict[int, T]:
        """Return finished outcomes by ascending offset: none before an unfinished one of its key.

        `fits` is called in that order, and its first False ends the selection; so does the limit of the metadata.
        """
        ready = dict(takewhile(lambda item: fits(item[1]), self._finished_in_key_order()))
        while ready and not self._fits_metadata(self.commit_point(ready)):
            lowest_first = list(ready.items())
            ready = dict(lowest_first[: len(lowest_first) // 2])
        return ready

    def _fits_metadata(self, point: CommitPoint) -> bool:
        """Return whether the metadata is within the limit, or no longer than the committed one.

        The broker has accepted that, and a limit that was lowered since would otherwise stop the partition for ever.
        The offset itself is its first number, which may need one more byte than before: two characters.
        """
        grown = 2 if _leb128_bytes(point.offset) > _leb128_bytes(self._committed.offset) else 0
        return len(point.metadata) <= max(self._metadata_limit_bytes, len(self._committed.metadata) + grown)

    def _finished_in_key_order(self) -> Iterator[tuple[int, T]]:
        unfinished_keys: set[bytes] = set()
        for offset, entry in self._unpublished.items():
            if entry.outcome is not None and entry.key not in unfinished_keys:
                yield offset, entry.outcome
            elif entry.key is not None:
                unfinished_keys.add(entry.key)

    def commit_point(self, publishing: Collection[int] = ()) -> CommitPoint:
        """Return what to commit together with the outcomes of `publishing`."""
        pending = [offset for offset in self._unpublished if offset not in publishing]
        done_before = (0, min(pending, default=self._next))
        unread = ((max(start, self._next), end) for start, end in self._published if end > self._next)
        (_, base), *beyond = _merge([done_before, *self._done_between(pending, publishing), *unread])
        return CommitPoint(base, encode(base, tuple(beyond)))

    def _done_between(self, pending: list[int], publishing: Collection[int]) -> Iterator[tuple[int, int]]:
        """Yield the gaps above pending offsets that hold a published one; markers alone are not worth a range."""
        published = sorted([*publishing, *(start for start, _ in self._published)])
        for offset, following in pairwise([*pending, self._next]):
            index = bisect_left(published, offset + 1)
            if index < len(published) and published[index] < following:
                yield offset + 1, following

    @property
    def committed(self) -> CommitPoint:
        """What Kafka has committed, as far as this worker knows."""
        return self._committed

    def has_changes(self, point: CommitPoint) -> bool:
        """Return whether `point` differs from the committed one."""
        return point != self._committed

    def mark_committed(self, point: CommitPoint, published: Ranges) -> None:
        """Record that Kafka has committed `point`; `published` is its decoded metadata. Drops all entries it covers."""
        self._committed = point
        self._published = _merge([(0, point.offset), *published])
        for offset in [o for o in self._unpublished if _contains(self._published, o)]:
            self._finished -= self._unpublished.pop(offset).outcome is not None


def _leb128_bytes(number: int) -> int:
    return max(1, -(-number.bit_length() // 7))


def _contains(spans: Ranges, offset: int) -> bool:
    before = bisect_right(spans, offset, key=itemgetter(0))
    return before > 0 and offset < spans[before - 1][1]


def _merge(spans: list[tuple[int, int]]) -> Ranges:
    """Return the same offsets as ascending ranges that do not touch."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
