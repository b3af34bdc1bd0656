"""The Faust app: one table, fed by the result topic, one record after the other."""

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

from sightstream.consumers.lookup.committed import CommittedApp
from sightstream.consumers.lookup.connection import broker_urls, credentials
from sightstream.consumers.lookup.entry import ResultPlace, Unusable, is_newer, make_entry
from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.consumers.lookup.topics import TABLE, TableTopics
from sightstream.pipeline import metrics
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES

log = logging.getLogger(__name__)


@dataclass(slots=True)
class NewestTable:
    """The table and what feeds it.

    `on_entered` is told the partition and offset of each record that was dealt with. `failure` is why a record could
    not be dealt with, a full disk for one; nothing is acknowledged from then on.
    """

    app: CommittedApp
    table: Any
    topics: TableTopics
    on_entered: Callable[[int, int], None] = lambda partition, offset: None
    failure: Exception | None = None

    def get(self, key: bytes) -> bytes | None:
        """The newest entry of a product of a partition that is held here."""
        return self.table.get(key)

    def partition_of(self, key: bytes) -> int | None:
        """Where every producer puts this key (murmur2)."""
        return self.app.consumer.key_partition(self.topics.results, key)

    def held_partitions(self) -> set[int]:
        """Empty before Kafka gave this process any."""
        return {tp.partition for tp in self.app.consumer.assignment() if tp.topic == self.topics.results}

    async def read_again(self, partition: int, offset: int) -> None:
        """Goes back to `offset`; what was entered already is seen to be no newer."""
        await self.app.consumer.seek(TP(self.topics.results, partition), offset)

    def recovered(self) -> bool:
        """Whether the table has all that the changelog says and no rebalance is under way."""
        return not self.app.rebalancing and self.app.tables.recovery.completed.is_set() and bool(self.held_partitions())

    def error(self) -> BaseException | None:
        """Why the table can't go on; None while it can."""
        return self.failure or (self.app.crash_reason if self.app.crashed else None)

    def take(self, message: Any) -> None:
        """Enters one result record, if it is newer than what is there."""
        place = ResultPlace(self.topics.results_id, message.partition, message.offset)
        try:
            entry = make_entry(place, message.key, message.value, message.headers or [])
        except Unusable as error:
            log.warning("%s [%d] @ %d is no result: %s", message.topic, message.partition, message.offset, error)
            metrics.LOOKUP_RECORDS.labels("unusable").inc()
        else:
            newer = is_newer(place, self.table.get(message.key))
            if newer:
                self.table[message.key] = entry
            metrics.LOOKUP_RECORDS.labels("entered" if newer else "seen_before").inc()
        self.on_entered(message.partition, message.offset)


def build_table(settings: LookupSettings, kafka: KafkaSettings, topics: TableTopics) -> NewestTable:
    """Connects to nothing before the app is started."""
    app = CommittedApp(settings.app_id, **app_settings(settings, kafka, topics))
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
    feed = app.topic(topics.results, partitions=topics.partitions, **raw)

    # One record at a time: acknowledged out of order, Faust's offsets go wrong at transaction markers.
    @app.agent(feed, name="newest", concurrency=1)
    async def keep_newest(stream: faust.StreamT) -> None:
        async for event in stream.events():
            try:
                newest.take(event.message)
            except Exception as error:
                newest.failure = error
                await asyncio.Event().wait()  # for ever: going on would acknowledge the record

    return newest


def app_settings(settings: LookupSettings, kafka: KafkaSettings, topics: TableTopics) -> dict[str, Any]:
    """Faust's settings. Holds secrets: never log it."""
    return {
        "broker": broker_urls(kafka),
        "broker_credentials": credentials(kafka),
        "broker_client_id": settings.app_id,
        "broker_commit_interval": settings.commit_seconds,
        "broker_session_timeout": settings.session_timeout_seconds,
        "broker_heartbeat_interval": settings.session_timeout_seconds / 10,
        "broker_rebalance_timeout": settings.session_timeout_seconds,  # how long one that hangs holds up the others
        "broker_request_timeout": max(60.0, settings.session_timeout_seconds + 10),
        # A killed process comes back as the same member, at once; the lock on data_dir keeps it the only one.
        "consumer_group_instance_id": instance_id(settings),
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": 2 * MAX_OUTCOME_RECORD_BYTES,
        "producer_max_request_size": MAX_OUTCOME_RECORD_BYTES,
        "store": "rocksdb://",
        "datadir": str(settings.data_dir.resolve()),
        "topic_partitions": topics.partitions,
        "topic_allow_declare": False,  # the changelog is there already, with the configuration that we want
        "topic_disable_leader": True,
        "stream_wait_empty": False,  # what is not acknowledged is read again
        "web_enabled": False,  # Faust's own pages would show the whole table to anybody
        "autodiscover": False,
    }


def instance_id(settings: LookupSettings) -> str:
    """One data folder has one process, so host and folder name it."""
    place = f"{socket.gethostname()}:{os.path.realpath(settings.data_dir)}"
    return "lookup-" + hashlib.sha256(place.encode()).hexdigest()[:16]
