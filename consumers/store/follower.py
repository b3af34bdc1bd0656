"""Follows the result and dead-letter topics and writes what it reads, batch by batch, into the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from confluent_kafka import OFFSET_BEGINNING, KafkaError, Message, TopicPartition

from sightstream.consumers import metrics
from sightstream.consumers.kafka.message import IncompleteMessage, is_fatal, partition_of, record_id
from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.batch import Batch, Position
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.errors import StoreError
from sightstream.consumers.store.message import record_of
from sightstream.consumers.store.row import Record, Row
from sightstream.consumers.store.settings import StoreSettings
from sightstream.consumers.store.write_spans import record_writes
from sightstream.schemas.connections.spans import Spans
from sightstream.schemas.wire.trace_context import trace_context

log = logging.getLogger(__name__)

_POLL_S = 0.1  # how soon a stop is noticed
_LOG_INTERVAL_S = 10
_WATERMARK_TIMEOUT_S = 30
_ERRORS_THAT_STOP = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the topic does not exist; create it again and start with a new database",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to read the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to read with this group",
    KafkaError.FENCED_INSTANCE_ID: "another store runs under the same identity; stop one of them",
}

RebalanceCallback = Callable[[object, Sequence[TopicPartition]], None]


class StoreConsumer(Protocol):
    """The part of confluent_kafka.Consumer that is used here."""

    def subscribe(
        self,
        topics: list[str],
        on_assign: RebalanceCallback,
        on_revoke: RebalanceCallback,
        on_lost: RebalanceCallback,
    ) -> None: ...
    def poll(self, timeout: float) -> Message | None: ...
    def incremental_assign(self, partitions: list[TopicPartition]) -> None: ...
    def incremental_unassign(self, partitions: list[TopicPartition]) -> None: ...
    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]: ...
    def commit(self, *, offsets: list[TopicPartition], asynchronous: Literal[True]) -> object: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TopicRowMapping:
    """How the records of each topic become rows, and Kafka's present identity of each topic."""

    to_row: Mapping[str, Callable[[Record], Row]]
    topic_ids: Callable[[], Mapping[str, str]]


class Follower:
    """Single-threaded: `run` polls, writes and answers rebalances."""

    def __init__(
        self,
        consumer: StoreConsumer,
        database: Database,
        mapping: TopicRowMapping,
        settings: StoreSettings,
        clock: Callable[[], float] = time.monotonic,
        spans: Spans | None = None,
        on_turn: Callable[[str | None], None] = lambda problem: None,
    ) -> None:
        """`spans` is None while nothing is traced. At each turn of the loop `on_turn` gets why nothing is read now."""
        self._spans, self._on_turn = spans, on_turn
        self._consumer = consumer
        self._database = database
        self._mapping = mapping
        self._settings = settings
        self._clock = clock
        self._batch = Batch()
        # Assigned partitions of which the last record that was stored has not been seen again yet.
        self._unverified: dict[PartitionId, Position] = {}
        self._at_end: dict[PartitionId, bool] = {}  # every assigned partition, and whether it is read to its end
        self._busy_at = self._logged_at = clock()
        self._written: dict[str, int] = dict.fromkeys(("results", "dead_letters", "unreadable"), 0)
        for cause in ("removed_before_read", "lost_by_broker"):
            metrics.STORE_RESETS.labels(cause)  # shown as 0 before the first one

    @property
    def written(self) -> dict[str, int]:
        """The rows written by this run, by table."""
        return dict(self._written)

    def run(self, stop: Callable[[], bool], idle_s: float | None = None) -> None:
        """Follow until `stop()`, or until every assigned partition was read to its end `idle_s` ago.

        Raises StoreError when a person must act, sqlite3.Error when the disk fails. Then nothing is half written.
        """
        self._consumer.subscribe(
            list(self._mapping.to_row), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        try:
            while not stop() and not self._is_idle(idle_s):
                self._on_turn(None if self._at_end else "no partition is assigned")
                self._fill_batch(stop)
                self._write()
        finally:
            self._consumer.close()  # revokes, which writes nothing that was not written above

    def _fill_batch(self, stop: Callable[[], bool]) -> None:
        deadline = self._clock() + self._settings.batch_interval_s
        while not self._batch.is_full(self._settings.batch_records) and not stop():
            left_s = deadline - self._clock()
            if left_s <= 0:
                return
            message = self._consumer.poll(min(left_s, _POLL_S))
            if message is not None:
                self._process(message)

    def _process(self, message: Message) -> None:
        error = message.error()
        try:
            if error is None:
                self._add(record_of(message))
            else:
                self._on_error(error, message)
        except IncompleteMessage as problem:
            raise StoreError(str(problem)) from problem

    def _add(self, record: Record) -> None:
        known = self._unverified.pop(record.at, None)
        if known is not None and not known.precedes(record):
            self._read_again(record.at)
            return
        if known is None or record.offset >= known.next_offset:
            self._batch.add(self._mapping.to_row[record.topic](record), record)
            if self._spans is not None:
                self._batch.traces.append(trace_context(record.headers))
        self._at_end[record.at] = False
        self._busy_at = self._clock()

    def _on_error(self, error: KafkaError, message: Message) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            end = record_id(message)
            self._reach_end(PartitionId(end.topic, end.partition), end.offset)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._reset(message)
        elif error.code() in _ERRORS_THAT_STOP:
            raise StoreError(f"{message.topic() or 'Kafka'}: {error.str()}: {_ERRORS_THAT_STOP[error.code()]}")
        elif is_fatal(error):
            raise StoreError(f"Kafka's client gave up: {error.str()}; start the store again")
        else:
            log.warning("Kafka: %s; trying again", error.str())

    def _reach_end(self, partition: PartitionId, offset: int) -> None:
        """Advance past trailing transaction markers, so that the group's lag reads 0 when everything is read."""
        if partition not in self._at_end:
            return
        known = self._batch.positions.get(partition) or self._database.position(partition)
        if partition in self._unverified or (known is not None and offset < known.next_offset):
            self._read_again(partition)
            return
        self._batch.advance(partition, offset, known)
        self._at_end[partition] = True

    def _write(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, Batch()
        started_ns = time.time_ns()
        with metrics.STORE_WRITE_SECONDS.time():
            self._database.write(batch.rows, batch.positions)
        if self._spans is not None:
            record_writes(self._spans, batch, started_ns, time.time_ns())
        for row in batch.rows:
            self._written[row.table] += 1
            metrics.STORE_ROWS.labels(row.table).inc()
        self._commit(batch.positions)
        self._log_progress()

    def _log_progress(self) -> None:
        if self._clock() - self._logged_at >= _LOG_INTERVAL_S:
            self._logged_at = self._clock()
            log.info("written so far: %s", ", ".join(f"{count} {table}" for table, count in self._written.items()))

    def _commit(self, positions: dict[PartitionId, Position]) -> None:
        """Tell Kafka how far the database is. Only lag reads it: a restart reads from the database's positions."""
        offsets = [
            TopicPartition(*at, position.next_offset) for at, position in positions.items() if at in self._at_end
        ]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def _on_assign(self, consumer: object, partitions: Sequence[TopicPartition]) -> None:
        self._database.check_topics(self._mapping.topic_ids())
        assigned = [PartitionId(p.topic, p.partition) for p in partitions]
        self._at_end |= dict.fromkeys(assigned, False)
        self._busy_at = self._clock()
        self._consumer.incremental_assign([self._start(partition) for partition in assigned])
        metrics.STORE_PARTITIONS.set(len(self._at_end))

    def _start(self, partition: PartitionId) -> TopicPartition:
        self._unverified.pop(partition, None)
        known = self._database.position(partition)
        if known is not None and known.record_end is not None:
            self._unverified[partition] = known
        return TopicPartition(*partition, OFFSET_BEGINNING if known is None else known.start)

    def _on_revoke(self, consumer: object, partitions: Sequence[TopicPartition]) -> None:
        """Write what was read, also from lost partitions: rows stay true whichever store reads them next."""
        self._write()
        for partition in partitions:
            at = PartitionId(partition.topic, partition.partition)
            self._at_end.pop(at, None)
            self._unverified.pop(at, None)
        self._consumer.incremental_unassign(list(partitions))
        metrics.STORE_PARTITIONS.set(len(self._at_end))

    def _reset(self, message: Message) -> None:
        """Go on where the log allows it: the broker does not have the record that the database has read last."""
        partition = partition_of(message)
        if partition is None:
            raise IncompleteMessage(
                "internal error: Kafka's client reset the offset of no partition; start the store again"
            )
        self._write()
        self._database.check_topics(self._mapping.topic_ids())
        self._restart(partition)
        self._assign_again(partition)

    def _assign_again(self, partition: PartitionId) -> None:
        self._at_end[partition] = False
        self._busy_at = self._clock()
        self._consumer.incremental_unassign([TopicPartition(*partition)])
        self._consumer.incremental_assign([self._start(partition)])

    def _restart(self, partition: PartitionId) -> None:
        known = self._database.position(partition) or Position(0)
        low, high = self._watermarks(partition)
        if known.next_offset < low:
            name = _name(partition)
            log.error("%s: offsets %d to %d left the topic before they were stored", name, known.next_offset, low - 1)
            metrics.STORE_RESETS.labels("removed_before_read").inc()
            self._database.write([], {partition: Position(low)})
        elif known.next_offset > high:
            self._forget(partition, known.next_offset)
        elif known.start < low:  # the last record that was stored has expired, but nothing behind it
            self._database.write([], {partition: Position(known.next_offset)})

    def _read_again(self, partition: PartitionId) -> None:
        self._write()
        known = self._database.position(partition) or Position(0)
        self._forget(partition, known.next_offset)
        self._assign_again(partition)

    def _forget(self, partition: PartitionId, next_offset: int) -> None:
        """Delete the rows of the present log's offsets: the broker lost the log that they came from, or its end."""
        low, high = self._watermarks(partition)
        text = "%s: the broker lost records before offset %d, it has offsets %d to %d now; reading the partition again"
        log.error(text, _name(partition), next_offset, low, high - 1)
        metrics.STORE_RESETS.labels("lost_by_broker").inc()
        self._database.restart(partition, low)

    def _watermarks(self, partition: PartitionId) -> tuple[int, int]:
        return self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=_WATERMARK_TIMEOUT_S)

    def _is_idle(self, idle_s: float | None) -> bool:
        if idle_s is None or not self._at_end or not all(self._at_end.values()):
            return False
        return self._clock() - self._busy_at >= idle_s


def _name(partition: PartitionId) -> str:
    return f"{partition.topic}/{partition.partition}"
