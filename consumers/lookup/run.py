"""Runs the lookup: the pages at once, then the table, which answers when it has caught up."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka.admin import AdminClient

from sightstream.consumers import metrics
from sightstream.consumers.disk_space import show_disk_space
from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.tail import open_tail_consumer
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.lookup.catch_up import CatchUp
from sightstream.consumers.lookup.dead_letters import DeadLetters, follow
from sightstream.consumers.lookup.errors import TableFailure
from sightstream.consumers.lookup.folder import announce_address, forget_other_changelog, lock_folder
from sightstream.consumers.lookup.freshness import Freshness
from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.consumers.lookup.table import NewestTable, build_table
from sightstream.consumers.lookup.topics import TableTopics, check_unchanged, ensure_topics
from sightstream.consumers.lookup.web import Pages, serve_pages
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

if TYPE_CHECKING:
    from faust.types import TP

log = logging.getLogger(__name__)

T = TypeVar("T")

_CHECK_INTERVAL_S = 0.1
# aiokafka asks for new partitions every five minutes, and only from then on Faust crashes at a record in one.
_TOPIC_CHECK_INTERVAL_S = 5
_STOP_TIMEOUT_S = 5  # an orderly stop only saves the next start from reading a second of records again
_LOST_AFTER_S = 3
_ADMIN_TIMEOUT_S = 30


class Lookup:
    """Decides whether the table may answer."""

    def __init__(
        self,
        table: NewestTable,
        catch_up: CatchUp,
        settings: LookupSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._settings = settings
        self._freshness = Freshness(settings.session_timeout_s, clock)
        self._catch_up = catch_up
        self._clock = clock
        self._assigned: frozenset[int] = frozenset()
        self._has_goal = False
        self._missing: dict[int, int] = {}
        self._missing_since = self._recovered_at = clock()
        self._caught_up = False
        table.on_processed = catch_up.mark_processed
        table.app.on_partitions_assigned.connect(self._on_assigned)

    def why_not_ready(self, key: bytes | None = None) -> str | None:
        """Return why the table can't answer for `key`, or for any key; None when it can."""
        if not self._table.recovered():
            return "the table is being recovered, or its partitions are being assigned"
        if not self._caught_up:
            return "the table is catching up with the result topic"
        partition = None if key is None else self._table.partition_of(key)
        if partition is not None and partition not in self._table.held_partitions():
            return f"partition {partition} belongs to another lookup"
        return self._why_stale(partition)

    def _why_stale(self, partition: int | None) -> str | None:
        stale = self._freshness.stale()
        if partition in stale or (partition is None and stale):
            return f"Kafka has not answered for {self._settings.session_timeout_s:g} s; newer results may be missing"
        return None

    def get(self, key: bytes) -> bytes | None:
        return self._table.get(key)

    async def watch(self) -> None:
        """Keep `why_not_ready` up to date, forever. Raises TableFailure when the table can't go on."""
        while True:
            self._check_table()
            try:
                await self._check_caught_up()
            except KafkaReadError as error:
                log.warning("can't tell yet whether the table has caught up: %s", error)
            await asyncio.sleep(_CHECK_INTERVAL_S)

    async def watch_answers(self) -> None:
        """Keep in mind when Kafka answered last, forever; nothing here waits for Kafka."""
        while True:
            self._observe_answers()
            metrics.LOOKUP_READY.set(self.why_not_ready() is None)
            await asyncio.sleep(_CHECK_INTERVAL_S)

    def _observe_answers(self) -> None:
        self._freshness.observe(self._table.fetches() if self._table.recovered() else {})

    async def _on_assigned(self, app: object, assigned: set[TP], **_: object) -> None:
        """Faust calls this before the first record of a new assignment is processed."""
        self._caught_up = self._has_goal = False
        self._assigned = frozenset(tp.partition for tp in assigned if tp.topic == self._table.topics.results)
        try:
            await self._set_goal()
        except KafkaReadError as error:
            log.warning("can't tell yet how far the table must be read: %s; asking again", error)

    async def _set_goal(self) -> None:
        assigned = self._assigned
        await asyncio.to_thread(self._catch_up.set_goal, assigned)
        self._has_goal = self._assigned == assigned

    async def _check_caught_up(self) -> None:
        if self._caught_up or not self._table.recovered():
            return
        if not self._has_goal:
            await self._set_goal()
        missing = await asyncio.to_thread(self._catch_up.missing)
        self._caught_up = self._has_goal and not missing
        if missing != self._missing:
            self._missing, self._missing_since = missing, self._clock()
        elif missing and self._clock() - self._missing_since > _LOST_AFTER_S:
            await self._read_again(missing)
            self._missing_since = self._clock()

    async def _read_again(self, missing: dict[int, int]) -> None:
        """Go back to the missing records: around a rebalance Faust can drop what it fetched, and would go on behind."""
        for partition, offset in missing.items():
            log.warning("partition %d: no record was processed from offset %d on; reading it again", partition, offset)
            metrics.LOOKUP_REREADS.inc()
            await self._table.read_again(partition, offset)

    def _check_table(self) -> None:
        error = self._table.error()
        if error is not None:
            raise TableFailure(f"the table can't go on: {type(error).__name__}: {error}") from error
        if self._table.recovered():
            self._recovered_at = self._clock()
        elif self._clock() - self._recovered_at > self._settings.stuck_after_s:
            limit_s = self._settings.stuck_after_s
            raise TableFailure(f"the table did not recover within {limit_s:g} s; start the lookup again")


async def run_lookup(
    settings: LookupSettings,
    kafka: KafkaSettings,
    topics: TopicSettings,
    stop: asyncio.Event,
    on_listening: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until `stop` is set. Raises LookupFailure.

    The caller must then end the process from within the loop: tasks and threads of Faust may go on for ever, and would
    acknowledge records.
    """
    admin = AdminClient(kafka.client_config(), logger=client_logger(__name__))
    os.umask(0o077)  # the table's own files hold results, and are made by RocksDB
    disk = show_disk_space({"lookup_table": settings.data_dir})
    with lock_folder(settings.data_dir), disk, metrics.showing(metrics.LOOKUP_READY):
        ensuring = asyncio.to_thread(ensure_topics, admin, topics.results, settings.group_id, topics.replication_factor)
        found = await _unless_stopped(ensuring, stop)
        if found is None:
            return
        forget_other_changelog(settings.data_dir, found.changelog_id)
        table = build_table(settings, kafka, found)
        broker = Broker(admin, _ADMIN_TIMEOUT_S)
        catch_up = CatchUp(broker, open_tail_consumer(kafka), settings.group_id, topics.results)
        lookup = Lookup(table, catch_up, settings)
        letters = DeadLetters()
        reader = threading.Thread(
            target=follow,
            args=(letters, broker, open_tail_consumer(kafka), topics.dead_letters, stop.is_set),
            name="dead-letters",
            daemon=True,
        )
        reader.start()
        async with serve_pages(Pages(lookup, settings.access, letters), settings.port) as address:
            with announce_address(settings.data_dir, address):
                on_listening(address)
                starting = asyncio.create_task(_start(table))
                watches = [lookup.watch(), lookup.watch_answers(), _watch_topics(admin, found)]
                await _until_one_ends([stop.wait(), *watches])
                starting.cancel()
                if lookup.why_not_ready() is None:
                    # Not wait_for, which would wait for ever for a task that does not heed its cancellation.
                    await asyncio.wait({asyncio.create_task(table.app.stop())}, timeout=_STOP_TIMEOUT_S)


async def _unless_stopped(work: Coroutine[object, object, T], stop: asyncio.Event) -> T | None:
    """Return what `work` returns, None as soon as `stop` is set; the work is then left behind."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return working.result() if working.done() else None


async def _until_one_ends(work: Iterable[Coroutine[object, object, object]]) -> None:
    """Run all until one ends, and raise what that one raised."""
    tasks = {asyncio.create_task(each) for each in work}
    ended, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in ended:
        task.result()


async def _watch_topics(admin: AdminClient, topics: TableTopics) -> None:
    """Look at the topics again and again, forever. Raises LookupFailure when they are no longer the table's."""
    while True:
        await asyncio.sleep(_TOPIC_CHECK_INTERVAL_S)
        try:
            await asyncio.to_thread(check_unchanged, admin, topics)
        except KafkaReadError as error:
            log.warning("can't look at the topics: %s; asking again", error)


async def _start(table: NewestTable) -> None:
    try:
        await table.app.start()
    except Exception as error:
        table.failure = error
