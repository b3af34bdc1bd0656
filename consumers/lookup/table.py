"""The Faust app: one table that the result topic fills, one record after the other."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faust
from faust.types import TP

from sightstream.consumers import metrics
from sightstream.consumers.lookup.connection import broker_urls, credentials
from sightstream.consumers.lookup.entry import ResultPosition, UnusableRecord, is_newer, make_entry, newest_of
from sightstream.consumers.lookup.read_committed import ReadCommittedApp
from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.consumers.lookup.topics import TABLE, TableTopics
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES

log = logging.getLogger(__name__)


@dataclass(slots=True)
class NewestTable:
    """The table and the topics behind it.

    `on_processed` receives the partition and offset of each record that was processed. `failure` is the reason why a
    record could not be processed, a full disk for example; no record is acknowledged from then on.
    """

    app: ReadCommittedApp
    table: Any
    topics: TableTopics
    on_processed: Callable[[int, int], None] = lambda partition, offset: None
    failure: Exception | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return the newest entry of a product whose partition this process has.

        Faust's own `get` answers from the partition in which it saw the key last, and so shows an old result for ever
        once the topic was given more partitions. New results are in the partition that the key belongs to now.
        """
        newest = self._entry(self.partition_of(key), key)
        if newest is not None:
            return newest
        entries = (self._entry(partition, key) for partition in self.held_partitions())
        return newest_of(entry for entry in entries if entry is not None)

    def _entry(self, partition: int | None, key: bytes) -> bytes | None:
        store = self.table.data
        database = store._dbs.get(partition)
        entry: bytes | None = None if database is None else store._decode_value(database.get(store._encode_key(key)))
        return entry

    def partition_of(self, key: bytes) -> int | None:
        """Return the partition in which every producer puts this key (murmur2)."""
        partition: int | None = self.app.consumer.key_partition(self.topics.results, key)
        return partition

    def held_partitions(self) -> set[int]:
        """Return the partitions of this process, none before Kafka has assigned any."""
        return {tp.partition for tp in self.app.consumer.assignment() if tp.topic == self.topics.results}

    def fetches(self) -> dict[int, object]:
        """Return aiokafka's time of the last answer about each held partition, None where none came yet."""
        subscription = self.app.consumer._thread._consumer._subscription.subscription
        states = {tp: subscription.assignment.state_value(tp) for tp in subscription.assignment.tps}
        return {tp.partition: state.timestamp for tp, state in states.items() if tp.topic == self.topics.results}

    async def read_again(self, partition: int, offset: int) -> None:
        """Go back to `offset`; results that are in the table already are recognised as no newer."""
        await self.app.consumer.seek(TP(self.topics.results, partition), offset)

    def recovered(self) -> bool:
        """Return whether the table has everything in its changelog and no rebalance is under way."""
        completed: bool = self.app.tables.recovery.completed.is_set()
        return not self.app.rebalancing and completed and bool(self.held_partitions())

    def error(self) -> BaseException | None:
        """Return why the table can't go on, None while it can."""
        return self.failure or (self.app.crash_reason if self.app.crashed else None)

    def process(self, message: Any) -> None:
        """Put one result into the table if it is newer than the entry there. `message` is Faust's own."""
        position = ResultPosition(self.topics.results_id, message.partition, message.offset)
        try:
            entry = make_entry(position, message.key, message.value, message.headers or [])
        except UnusableRecord as error:
            at = f"{message.topic} [{message.partition}] @ {message.offset}"
            log.warning("%s is not a usable result, skipped: %s", at, error)
            metrics.LOOKUP_RECORDS.labels("unusable").inc()
        else:
            newer = is_newer(position, self.table.get(message.key))
            if newer:
                self.table[message.key] = entry
            metrics.LOOKUP_RECORDS.labels("entered" if newer else "seen_before").inc()
        self.on_processed(message.partition, message.offset)


def build_table(settings: LookupSettings, kafka: KafkaSettings, topics: TableTopics) -> NewestTable:
    """Return the table; nothing is connected before its app is started."""
    app = ReadCommittedApp(settings.group_id, **app_settings(settings, kafka, topics))
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    store = {
        "driver": "rocksdict",
        "block_cache_size": settings.block_cache_bytes,  # Faust's own default is 2 GiB a partition
        "write_buffer_size": settings.write_buffer_bytes,
        "max_write_buffer_number": 2,
        "max_open_files": 128,
    }
    table = app.Table(TABLE, partitions=topics.partitions, options=store, key_type=bytes, value_type=bytes)
    newest = NewestTable(app, table, topics)
    results = app.topic(topics.results, partitions=topics.partitions, **raw)

    async def keep_newest(stream: faust.StreamT) -> None:
        async for event in stream.events():
            try:
                newest.process(event.message)
            except Exception as error:
                newest.failure = error
                await asyncio.Event().wait()  # forever: going on would acknowledge the record

    # One record at a time: acknowledged out of order, Faust's offsets go wrong at transaction markers.
    app.agent(results, name="newest", concurrency=1)(keep_newest)
    return newest


def app_settings(settings: LookupSettings, kafka: KafkaSettings, topics: TableTopics) -> dict[str, Any]:
    """Return Faust's settings. They hold secrets: never log them."""
    return {
        "broker": broker_urls(kafka),
        "broker_credentials": credentials(kafka),
        "broker_client_id": settings.group_id,
        "broker_commit_interval": settings.commit_interval_s,
        "broker_session_timeout": settings.session_timeout_s,
        "broker_heartbeat_interval": settings.session_timeout_s / 10,
        "broker_rebalance_timeout": settings.session_timeout_s,  # how long a hung process holds up the others
        "broker_request_timeout": max(60.0, settings.session_timeout_s + 10),
        # A killed process comes back as the same member at once; the lock on data_dir keeps it the only one.
        "consumer_group_instance_id": instance_id(settings),
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": 2 * MAX_OUTCOME_RECORD_BYTES,
        "producer_max_request_size": MAX_OUTCOME_RECORD_BYTES,
        "store": "rocksdb://",
        "datadir": str(settings.data_dir.resolve()),
        "topic_partitions": topics.partitions,
        "topic_allow_declare": False,  # ensure_topics created the changelog, with the configuration that we want
        "topic_disable_leader": True,
        "stream_wait_empty": False,  # records that are not acknowledged are read again
        "web_enabled": False,  # Faust's own pages would show the whole table to anybody
        "autodiscover": False,
    }


def instance_id(settings: LookupSettings) -> str:
    """Return the process's identity: one data folder has one process, so host and folder name it."""
    location = f"{socket.gethostname()}:{os.path.realpath(settings.data_dir)}"
    return "lookup-" + hashlib.sha256(location.encode()).hexdigest()[:16]
