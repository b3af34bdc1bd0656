"""Counts the unfinished records of many partitions within a budget, and finds the oldest record of each."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, islice

from sightstream.consumers.kafka.tail import Tail, TailConsumer, read_tails
from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.lag.samples import MAX_WINDOWS, WINDOW, Samples
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.unfinished import Unfinished

Key = tuple[str, PartitionId]  # a group's part of a partition

# Partitions that one reading looks into, those first that waited longest: 10,000 are through after five readings.
MAX_PARTITIONS = 2000
# Read together: the client fetches up to 128 KiB of each.
TOGETHER = 200


@dataclass(frozen=True, slots=True)
class Count:
    """The unfinished records of one partition. `oldest_ms` is None where there is none or it is not known yet."""

    records: int
    oldest_ms: int | None = None
    estimated: bool = False


@dataclass(slots=True)
class _Known:
    """What earlier readings found. It stays true for the same offsets, since a log only grows."""

    samples: Samples
    read_at_s: float = -math.inf
    counted: Unfinished | None = None
    records: int = 0  # of `counted`
    searched_from: int = 0
    oldest_offset: int = -1
    oldest_ms: int | None = None

    def has_oldest(self, left: Unfinished) -> bool:
        """Return whether the oldest record of `left` is the one that was found before."""
        at = self.oldest_offset
        return self.searched_from <= left.start <= at < left.end and at not in left.finished

    def oldest_bound_ms(self, left: Unfinished) -> int | None:
        """Return the time of the oldest record, or of one before it that was the oldest until it was finished."""
        return self.oldest_ms if self.searched_from <= left.start else None

    def learn(self, left: Unfinished, tail: Tail, *, counted: bool, at_s: float) -> None:
        self.read_at_s = at_s
        if tail.first_offset is not None:
            self.searched_from, self.oldest_offset, self.oldest_ms = left.start, tail.first_offset, tail.first_ms
        if tail.complete and (counted or not tail.records):
            self.counted, self.records = left, tail.records


class RecordCounter:
    """Reads at most `read_records` records and about `read_bytes` bytes in each reading. Not thread safe.

    If all that is left fits, it is counted record by record. Otherwise half of the budget is for the partitions with
    the fewest offsets left; of the others the oldest record is read, and what remains goes to samples, from which their
    number is estimated. What did not change since the last reading is not read again.
    """

    def __init__(
        self, consumer: TailConsumer, settings: LagSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._consumer = consumer
        self._settings = settings
        self._clock = clock
        self._known: dict[Key, _Known] = {}
        self._deadline = 0.0
        self._bytes_left = 0

    def count(self, left: Mapping[Key, Unfinished]) -> dict[Key, Count]:
        """Blocks for `read_timeout_s` at most. Raises KafkaReadError."""
        self._deadline = self._clock() + self._settings.read_timeout_s
        self._bytes_left = self._settings.read_bytes
        self._known = {key: self._known.get(key) or _Known(Samples(key[1].partition)) for key in left}
        for key, known in self._known.items():
            known.samples.keep_within(left[key])
        small, large, records_left = self._divide(left)
        # Ages first: they cost one record of each, and no estimate stands in for them.
        self._read(left, (key for key in large if not self._known[key].has_oldest(left[key])), count=False)
        self._sample(left, set(small), records_left)
        self._read(left, small, count=True)
        ratios = self._ratios()
        return {key: self._count(key, left[key], ratios) for key in left}

    def _divide(self, left: Mapping[Key, Unfinished]) -> tuple[list[Key], list[Key], int]:
        """Return which partitions to count and which to look into, and how many records may be read for samples."""
        changed = (key for key in left if len(left[key]) and self._known[key].counted != left[key])
        due = sorted(changed, key=lambda key: self._known[key].read_at_s)[:MAX_PARTITIONS]
        budget = self._settings.read_records
        sizes = sorted((len(left[key]), key) for key in due)
        if (sums := list(accumulate(size for size, _ in sizes))) and sums[-1] > budget:
            budget //= 2
        counted = bisect_right(sums, budget)
        keys = [key for _, key in sizes]
        return keys[:counted], keys[counted:], self._settings.read_records - sum(size for size, _ in sizes[:counted])

    def _read(self, left: Mapping[Key, Unfinished], keys: Iterable[Key], *, count: bool) -> None:
        for key, tail in self._tails({key: left[key] for key in keys}, count=count):
            self._known[key].learn(left[key], tail, counted=count, at_s=self._clock())

    def _sample(self, left: Mapping[Key, Unfinished], small: set[Key], budget: int) -> None:
        """Read windows of all that is not counted: many at first, then one for each in a reading."""
        inexact = [key for key in left if key not in small and len(left[key]) and self._known[key].counted != left[key]]
        half_time = self._deadline - self._settings.read_timeout_s / 2
        while inexact and budget >= WINDOW and not self._spent() and self._clock() < half_time:
            inexact.sort(key=lambda key: len(self._known[key].samples))
            chosen = inexact[: min(budget // WINDOW, MAX_PARTITIONS)]
            windows = {key: self._known[key].samples.next_window(left[key]) for key in chosen}
            for key, tail in self._tails(windows, count=True):
                if tail.complete:
                    self._known[key].samples.add(windows[key], tail.records)
            budget -= WINDOW * len(chosen)
            inexact = [key for key in inexact if len(self._known[key].samples) < MAX_WINDOWS]

    def _tails(self, wanted: Mapping[Key, Unfinished], *, count: bool) -> Iterator[tuple[Key, Tail]]:
        """Read these, some partitions at a time, until the budget is spent."""
        for group, keys in _by_group(wanted).items():
            partitions = iter(keys)
            while (some := list(islice(partitions, TOGETHER))) and not self._spent():
                spans = {at: wanted[group, at].span(count=count) for at in some}
                time_left_s = self._deadline - self._clock()
                tails = read_tails(self._consumer, spans, time_left_s, self._clock, self._bytes_left)
                self._bytes_left -= sum(tail.bytes for tail in tails.values())
                yield from (((group, at), tail) for at, tail in tails.items())

    def _spent(self) -> bool:
        return self._bytes_left <= 0 or self._clock() >= self._deadline

    def _ratios(self) -> dict[tuple[str, str], float]:
        """Return the records per offset in the samples of each group's topics."""
        sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for (group, partition), known in self._known.items():
            both = sums[group, partition.topic]
            both[0], both[1] = both[0] + known.samples.records, both[1] + known.samples.offsets
        return {topic: records / offsets for topic, (records, offsets) in sums.items() if offsets}

    def _count(self, key: Key, left: Unfinished, ratios: Mapping[tuple[str, str], float]) -> Count:
        known = self._known[key]
        if not len(left):
            return Count(0)
        if known.counted == left:
            return Count(known.records, known.oldest_ms if known.records else None)
        ratio = ratios.get((key[0], key[1].topic), 1.0)
        records = known.samples.estimate(left) if known.samples else len(left) * ratio
        return Count(max(round(records), int(known.has_oldest(left))), known.oldest_bound_ms(left), estimated=True)


def _by_group(keys: Iterable[Key]) -> dict[str, list[PartitionId]]:
    groups: defaultdict[str, list[PartitionId]] = defaultdict(list)
    for group, partition in keys:
        groups[group].append(partition)
    return groups
