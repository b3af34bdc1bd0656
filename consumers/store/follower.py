"""Follows the result and dead-letter topics and writes what it reads, batch by batch, into the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from sightstream.consumers.store.batch import Batch
from sightstream.consumers.store.database import Database, Place
from sightstream.consumers.store.errors import StoreError
from sightstream.consumers.store.message import Message, record_of
from sightstream.consumers.store.rows import Record, Row
from sightstream.consumers.store.settings import StoreSettings
from sightstream.pipeline import metrics

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1  # how soon a stop is noticed
_SAY_SECONDS = 10
_STOPS_THE_STORE = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the topic is gone; create it again and start with a new database",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to read the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to read with this group",
    KafkaError.FENCED_INSTANCE_ID: "another store runs under the same identity; stop one of them",
}


class Consumer(Protocol):
    """What the follower uses of confluent_kafka.Consumer."""

    def subscribe(self, topics: list[str], **callbacks: Callable) -> None: ...
    def poll(self, timeout: float) -> Message | None: ...
    def incremental_assign(self, partitions: list[TopicPartition]) -> None: ...
    def incremental_unassign(self, partitions: list[TopicPartition]) -> None: ...
    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]: ...
    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> object: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Feed:
    """What to follow: how the records of each topic become rows, and Kafka's present identity of those topics."""

    to_row: Mapping[str, Callable[[Record], Row]]
    topic_ids: Callable[[], Mapping[str, str]]


class Follower:
    """Single-threaded: `run` polls, writes and answers rebalances."""

    def __init__(
        self,
        consumer: Consumer,
        database: Database,
        feed: Feed,
        settings: StoreSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._database = database
        self._feed = feed
        self._settings = settings
        self._clock = clock
        self._batch = Batch()
        self._at_end: dict[Place, bool] = {}  # every assigned partition, and whether it is read to its end
        self._busy_at = self._said_at = clock()
        self._written: dict[str, int] = dict.fromkeys(("results", "dead_letters", "unreadable"), 0)

    @property
    def written(self) -> dict[str, int]:
        """Rows written by this run, by table."""
        return dict(self._written)

    def run(self, stop: Callable[[], bool], idle_seconds: float | None = None) -> None:
        """Until `stop()`, or until every assigned partition was read to its end `idle_seconds` ago.

        Raises StoreError for what needs a person, sqlite3.Error when the disk fails. Then nothing is half written.
        """
        self._consumer.subscribe(
            list(self._feed.to_row), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        try:
            while not stop() and not self._idle(idle_seconds):
                self._gather(stop)
                self._write()
        finally:
            self._consumer.close()  # revokes, which writes nothing that was not written above

    def _gather(self, stop: Callable[[], bool]) -> None:
        deadline = self._clock() + self._settings.batch_seconds
        while len(self._batch) < self._settings.batch_records and not stop():
            left = deadline - self._clock()
            if left <= 0:
                return
            message = self._consumer.poll(min(left, _POLL_SECONDS))
            if message is not None:
                self._take(message)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            self._on_error(error, message)
            return
        record = record_of(message)
        self._batch.add(self._feed.to_row[record.topic](record), (record.topic, record.partition), record.offset)
        self._at_end[record.topic, record.partition] = False
        self._busy_at = self._clock()

    def _on_error(self, error: KafkaError, message: Message) -> None:
        place = (message.topic() or "", message.partition() or 0)
        if error.code() == KafkaError._PARTITION_EOF:
            self._reached_end(place, message.offset() or 0)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._reset(place)
        elif error.code() in _STOPS_THE_STORE:
            raise StoreError(f"{place[0] or 'Kafka'}: {error.str()}: {_STOPS_THE_STORE[error.code()]}")
        elif error.fatal():
            raise StoreError(f"Kafka's client gave up: {error.str()}; start the store again")
        else:
            log.warning("Kafka: %s; trying on", error.str())

    def _reached_end(self, place: Place, offset: int) -> None:
        """The end lies past trailing transaction markers, so the group's lag reads 0 when all is read."""
        if place in self._at_end:
            self._batch.advance(place, offset)
            self._at_end[place] = True

    def _write(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, Batch()
        with metrics.STORE_WRITE_SECONDS.time():
            self._database.write(batch.rows, batch.positions)
        for row in batch.rows:
            self._written[row.table] += 1
            metrics.STORE_ROWS.labels(row.table).inc()
        self._commit(batch.positions)
        self._say_how_far()

    def _say_how_far(self) -> None:
        if self._clock() - self._said_at >= _SAY_SECONDS:
            self._said_at = self._clock()
            log.info("written so far: %s", ", ".join(f"{count} {table}" for table, count in self._written.items()))

    def _commit(self, positions: dict[Place, int]) -> None:
        """Tells Kafka how far the database is. Only lag reads it: after a restart the database's word counts."""
        offsets = [TopicPartition(*place, offset) for place, offset in positions.items() if place in self._at_end]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def _on_assign(self, consumer: object, partitions: Sequence[TopicPartition]) -> None:
        self._database.check_topics(self._feed.topic_ids())
        places = [(p.topic, p.partition) for p in partitions]
        self._at_end |= dict.fromkeys(places, False)
        self._busy_at = self._clock()
        self._consumer.incremental_assign([self._start(place) for place in places])
        metrics.STORE_PARTITIONS.set(len(self._at_end))

    def _start(self, place: Place) -> TopicPartition:
        known = self._database.position(place)
        return TopicPartition(*place, OFFSET_BEGINNING if known is None else known)

    def _on_revoke(self, consumer: object, partitions: Sequence[TopicPartition]) -> None:
        """Rows are true whoever reads the partition next, so what was read is written, also when it was lost."""
        self._write()
        for partition in partitions:
            self._at_end.pop((partition.topic, partition.partition), None)
        self._consumer.incremental_unassign(list(partitions))
        metrics.STORE_PARTITIONS.set(len(self._at_end))

    def _reset(self, place: Place) -> None:
        """The broker does not have the offset that the database wants next: go on from the oldest record it has."""
        self._write()
        self._database.check_topics(self._feed.topic_ids())
        self._at_end[place] = False
        self._busy_at = self._clock()
        partition = TopicPartition(*place)
        wanted = self._database.position(place) or 0
        low, high = self._consumer.get_watermark_offsets(partition, timeout=30)
        if wanted < low:
            log.error("%s: offsets %d to %d left the topic before they were stored", place, wanted, low - 1)
            metrics.STORE_RESETS.labels("removed_before_read").inc()
            self._database.write([], {place: low})
        elif wanted > high:
            log.error("%s: the broker lost offsets %d to %d; reading the partition anew", place, high, wanted - 1)
            metrics.STORE_RESETS.labels("lost_by_broker").inc()
            self._database.restart(place, low)
        self._consumer.incremental_unassign([partition])
        self._consumer.incremental_assign([self._start(place)])

    def _idle(self, seconds: float | None) -> bool:
        if seconds is None or not self._at_end or not all(self._at_end.values()):
            return False
        return self._clock() - self._busy_at >= seconds
