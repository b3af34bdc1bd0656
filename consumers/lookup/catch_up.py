"""Finds out whether the table has every record that was on the result topic when its partitions were assigned.

Before that, "unknown product" would be a guess. An offset can be a transaction marker, so the rest of the topic is
read. And single records are compared, not the highest offset: around a rebalance Faust can drop a fetched record.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from queue import SimpleQueue
from typing import Protocol

from sightstream.consumers.kafka.broker import CommittedOffset
from sightstream.consumers.kafka.tail import Span, TailConsumer, read_tails
from sightstream.consumers.kafka.types import PartitionId

_READ_TIMEOUT_S = 10


class OffsetBroker(Protocol):
    """The part of consumers.kafka.broker.Broker that is used here."""

    def committed(self, group_id: str) -> dict[PartitionId, CommittedOffset]: ...
    def stable_ends(self, partitions: list[PartitionId]) -> dict[PartitionId, int]: ...
    def starts(self, partitions: list[PartitionId]) -> dict[PartitionId, int]: ...


class CatchUp:
    """Remembers the stable ends of one moment as the goal, and finds the records that are missing before them.

    `set_goal` and `missing` block for seconds at most, one at a time; `mark_processed` is quick and may be called
    meanwhile from another thread.
    """

    def __init__(self, broker: OffsetBroker, consumer: TailConsumer, group_id: str, topic: str) -> None:
        self._broker = broker
        self._consumer = consumer
        self._group_id = group_id
        self._topic = topic
        self._lock = threading.Lock()
        # partition -> the first offset that may be missing, and the goal
        self._unverified: dict[int, tuple[int, int]] = {}
        self._processed: dict[int, set[int]] = {}
        self._reported: SimpleQueue[tuple[int, int]] = SimpleQueue()

    def set_goal(self, partitions: Iterable[int]) -> None:
        """Set the goal for these partitions, before any of their records is processed. Raises KafkaReadError."""
        wanted = [PartitionId(self._topic, partition) for partition in sorted(partitions)]
        committed = self._broker.committed(self._group_id)
        starts, ends = self._broker.starts(wanted), self._broker.stable_ends(wanted)
        begin = {at: max(starts[at], committed[at].offset if at in committed else 0) for at in wanted}
        with self._lock:
            self._unverified = {at.partition: (begin[at], ends[at]) for at in wanted}
            self._processed = {at.partition: set() for at in wanted}

    def mark_processed(self, partition: int, offset: int) -> None:
        """Report that the table has dealt with this record."""
        if partition in self._unverified:
            self._reported.put((partition, offset))

    def missing(self) -> dict[int, int]:
        """Return the first missing record of each partition: none once, and from then on, the goal is reached.

        Raises KafkaReadError.
        """
        with self._lock:
            self._collect_reported()
            spans = {
                PartitionId(self._topic, partition): Span(begin, end, self._processed[partition], count=False)
                for partition, (begin, end) in self._unverified.items()
            }
            unverified = {partition: span for partition, span in spans.items() if span.start < span.end}
            tails = read_tails(self._consumer, unverified, _READ_TIMEOUT_S)
            found = {
                at.partition: unverified[at].start if tail.first_offset is None else tail.first_offset
                for at, tail in tails.items()
                if not (tail.complete and tail.records == 0)
            }
            self._unverified = {
                partition: (offset, self._unverified[partition][1]) for partition, offset in found.items()
            }
            self._forget_verified()
        return found

    def _collect_reported(self) -> None:
        while not self._reported.empty():
            partition, offset = self._reported.get()
            self._processed.setdefault(partition, set()).add(offset)

    def _forget_verified(self) -> None:
        """Drop every offset before the first missing record: it is never looked for again."""
        self._processed = {
            partition: {offset for offset in self._processed.get(partition, ()) if offset >= begin}
            for partition, (begin, _) in self._unverified.items()
        }

    def close(self) -> None:
        self._consumer.close()
