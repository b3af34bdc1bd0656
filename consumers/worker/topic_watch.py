"""Notices that the request topic is not the one that the worker started with: created again, deleted, or compacted.

Offsets are numbers: Kafka accepts one of the old topic for the new one, and whatever lies below it there would never be
answered. So each transaction asks for the topic's id *after* Kafka has accepted its offsets and before it is committed
(`confirm`). An id never comes back. If it is the old one then, the offsets were accepted for the old topic, and Kafka
deletes them together with it, whenever that happens. If it is another one, the transaction is aborted. What remains are
the milliseconds in which one broker knows of the new topic and the one that is asked does not.

The id is kept in memory only. After a restart nothing is left to compare it with, but also no offsets: Kafka deleted
them with the topic, and `check_group` asks what to do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Protocol

from sightstream.consumers.kafka.broker import Topic
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.worker.topic_check import check_retention
from sightstream.pipeline.errors import Fatal

log = logging.getLogger(__name__)

INTERVAL_S = 5.0
# A broker that has just started may not know a topic for a moment.
MISSING_READINGS = 2


class WatchedBroker(Protocol):
    """The part of `Broker` that is used here. Raises KafkaReadError."""

    def topics(self, names: Collection[str]) -> dict[str, Topic]: ...
    def topic_settings(self, topic: str) -> dict[str, str | None]: ...


class TopicWatch:
    """`confirm` may be called on any thread; `check` on one at a time. `answered_at` is when the broker last did."""

    def __init__(
        self, broker: WatchedBroker, topic: str, topic_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._broker, self._topic, self._topic_id = broker, topic, topic_id
        self._clock, self.answered_at = clock, clock()
        self._missing = 0
        self._problem: Fatal | None = None

    def confirm(self) -> None:
        """Return if the topic is still the one that this worker reads. Blocks.

        Raises Fatal when it is not, KafkaReadError when that is not known.
        """
        if self._current() is None:
            raise KafkaReadError(f"the topic {self._topic} does not exist now")

    def check(self) -> None:
        """Look at the topic once, and keep what stops the worker for `raise_problem`. Blocks."""
        try:
            self._missing = 0 if self._current() else self._missing + 1
            if self._missing >= MISSING_READINGS:
                raise Fatal(f"the topic {self._topic} was deleted; create it, then {FROM_BEGINNING}")
            if not self._missing:
                check_retention(self._topic, self._broker.topic_settings(self._topic))
        except KafkaReadError as error:
            log.warning("the topic %s can't be looked at: %s", self._topic, error)
        except Fatal as problem:
            self._problem = problem

    def raise_problem(self) -> None:
        """Raise the Fatal that `check` has found, if any."""
        if self._problem is not None:
            raise self._problem

    def _current(self) -> Topic | None:
        found = self._broker.topics((self._topic,)).get(self._topic)
        self.answered_at = self._clock()
        if found is not None and found.topic_id != self._topic_id:
            raise Fatal(
                f"the topic {self._topic} was deleted and created again (its id was {self._topic_id} and is "
                f"{found.topic_id}); this worker's offsets belong to the old one. To answer the new "
                f"one, {FROM_BEGINNING}"
            )
        return found


FROM_BEGINNING = "start all workers with --from-beginning"


@contextmanager
def watching(watch: TopicWatch, interval_s: float = INTERVAL_S) -> Iterator[None]:
    """Check the topic every `interval_s` on a thread of its own while the block runs."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(interval_s):
            watch.check()

    thread = threading.Thread(target=run, name="topic-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
