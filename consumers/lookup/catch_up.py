"""Whether the table has every record that stood on the result topic when its partitions were assigned.

Before that, "unknown product" would be a guess. An offset can be a transaction marker, so what is left is read. And
it is told apart by record, not by the highest offset: around a rebalance Faust can drop a record that it fetched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from queue import SimpleQueue
from typing import Protocol

from sightstream.consumers.lag.broker import Committed
from sightstream.consumers.lag.tail import Consumer, Span, read_tails
from sightstream.consumers.lag.types import Place

_READ_SECONDS = 10


class AsksBroker(Protocol):
    """What is used of consumers.lag.broker.Broker."""

    def committed(self, group: str) -> dict[Place, Committed]: ...
    def stable_ends(self, places: list[Place]) -> dict[Place, int]: ...
    def starts(self, places: list[Place]) -> dict[Place, int]: ...


class CatchUp:
    """Aims at the stable ends of now, and says what is missing before them.

    `aim` and `missing` block for seconds at most and take turns; `entered` is quick and may be called meanwhile.
    """

    def __init__(self, broker: AsksBroker, consumer: Consumer, group: str, topic: str) -> None:
        self._broker = broker
        self._consumer = consumer
        self._group = group
        self._topic = topic
        self._lock = threading.Lock()
        self._left: dict[int, tuple[int, int]] = {}  # partition -> first offset not known to be entered, goal
        self._entered: dict[int, set[int]] = {}
        self._news: SimpleQueue[tuple[int, int]] = SimpleQueue()

    def aim(self, partitions: Iterable[int]) -> None:
        """Sets the goal for these partitions, before any of their records is entered. Raises LagError."""
        places = [(self._topic, partition) for partition in sorted(partitions)]
        committed = self._broker.committed(self._group)
        starts, ends = self._broker.starts(places), self._broker.stable_ends(places)
        begin = {place: max(starts[place], committed[place].offset if place in committed else 0) for place in places}
        with self._lock:
            self._left = {place[1]: (begin[place], ends[place]) for place in places}
            self._entered = {place[1]: set() for place in places}

    def entered(self, partition: int, offset: int) -> None:
        """This record was dealt with."""
        if partition in self._left:
            self._news.put((partition, offset))

    def missing(self) -> dict[int, int]:
        """The first record that is missing, by partition. Empty once, and then for good, the goal is reached.

        Raises LagError.
        """
        with self._lock:
            self._note_news()
            spans = {
                (self._topic, partition): Span(begin, end, self._entered[partition], count=False)
                for partition, (begin, end) in self._left.items()
            }
            open_spans = {place: span for place, span in spans.items() if span.start < span.end}
            tails = read_tails(self._consumer, open_spans, _READ_SECONDS)
            found = {
                place[1]: open_spans[place].start if tail.first_offset is None else tail.first_offset
                for place, tail in tails.items()
                if not (tail.whole and tail.records == 0)
            }
            self._left = {partition: (offset, self._left[partition][1]) for partition, offset in found.items()}
            self._forget()
        return found

    def _note_news(self) -> None:
        while not self._news.empty():
            partition, offset = self._news.get()
            self._entered.setdefault(partition, set()).add(offset)

    def _forget(self) -> None:
        """What lies before the first missing record needs no account."""
        self._entered = {
            partition: {offset for offset in self._entered.get(partition, ()) if offset >= begin}
            for partition, (begin, _) in self._left.items()
        }

    def close(self) -> None:
        self._consumer.close()
