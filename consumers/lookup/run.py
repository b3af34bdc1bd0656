"""Runs the look-up: the pages at once, then the table, ready when it has caught up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from confluent_kafka.admin import AdminClient

from sightstream.consumers.lag.broker import Broker
from sightstream.consumers.lag.tail import open_tail_consumer
from sightstream.consumers.lag.types import LagError
from sightstream.consumers.lookup.catch_up import CatchUp
from sightstream.consumers.lookup.errors import TableFailed
from sightstream.consumers.lookup.folder import announced, forget_other_changelog, locked
from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.consumers.lookup.table import NewestTable, build_table
from sightstream.consumers.lookup.topics import ensure_topics
from sightstream.consumers.lookup.web import Pages, served
from sightstream.pipeline import metrics
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
_STOP_SECONDS = 20
_LOST_SECONDS = 3
_ADMIN_SECONDS = 30


class Lookup:
    """The table, and whether it may answer."""

    def __init__(
        self,
        table: NewestTable,
        catch_up: CatchUp,
        stuck_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._stuck_seconds = stuck_seconds
        self._catch_up = catch_up
        self._clock = clock
        self._assigned: frozenset[int] = frozenset()
        self._aimed = False
        self._missing: dict[int, int] = {}
        self._missing_since = self._recovered_at = clock()
        self._caught_up = False
        table.on_entered = catch_up.entered
        table.app.on_partitions_assigned.connect(self._on_assigned)

    def why_not_ready(self, key: bytes | None = None) -> str | None:
        """None when it is; otherwise what is missing."""
        if not self._table.recovered():
            return "the table is being recovered, or its partitions are being assigned"
        if not self._caught_up:
            return "the table is catching up with the result topic"
        partition = None if key is None else self._table.partition_of(key)
        if partition is not None and partition not in self._table.held_partitions():
            return f"partition {partition} is held by another look-up"
        return None

    def get(self, key: bytes) -> bytes | None:
        return self._table.get(key)

    async def watch(self) -> None:
        """Keeps `why_not_ready` true, for ever. Raises TableFailed when the table can't go on."""
        while True:
            self._check()
            try:
                await self._look()
            except LagError as error:
                log.warning("the broker does not say how far the table is: %s", error)
            metrics.LOOKUP_READY.set(self.why_not_ready() is None)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _on_assigned(self, app: object, assigned: set[Any], **_: object) -> None:
        """Called before the first record of a new assignment is entered."""
        self._caught_up = self._aimed = False
        self._assigned = frozenset(tp.partition for tp in assigned if tp.topic == self._table.topics.results)
        try:
            await self._aim()
        except LagError as error:
            log.warning("the broker does not say how far the table must be read: %s; asking again", error)

    async def _aim(self) -> None:
        aimed_at = self._assigned
        await asyncio.to_thread(self._catch_up.aim, aimed_at)
        self._aimed = self._assigned == aimed_at

    async def _look(self) -> None:
        if self._caught_up or not self._table.recovered():
            return
        if not self._aimed:
            await self._aim()
        missing = await asyncio.to_thread(self._catch_up.missing)
        self._caught_up = self._aimed and not missing
        if missing != self._missing:
            self._missing, self._missing_since = missing, self._clock()
        elif missing and self._clock() - self._missing_since > _LOST_SECONDS:
            await self._read_again(missing)
            self._missing_since = self._clock()

    async def _read_again(self, missing: dict[int, int]) -> None:
        """Around a rebalance Faust can drop what it fetched, and would go on behind it."""
        for partition, offset in missing.items():
            log.warning("partition %d: nothing was entered from offset %d on; reading it again", partition, offset)
            metrics.LOOKUP_REREADS.inc()
            await self._table.read_again(partition, offset)

    def _check(self) -> None:
        error = self._table.error()
        if error is not None:
            raise TableFailed(f"the table can't go on: {type(error).__name__}: {error}") from error
        if self._table.recovered():
            self._recovered_at = self._clock()
        elif self._clock() - self._recovered_at > self._stuck_seconds:
            raise TableFailed(f"the table did not recover in {self._stuck_seconds:g} s; start the look-up again")


async def run_lookup(
    settings: LookupSettings,
    kafka: KafkaSettings,
    topics: TopicSettings,
    stop: asyncio.Event,
    on_listening: Callable[[str], None] = lambda address: None,
) -> None:
    """Serves until `stop` is set. Raises LookupFailed; after a TableFailed the process must end at once."""
    admin = AdminClient(kafka.client_config(), logger=log)
    with locked(settings.data_dir):
        found = await asyncio.to_thread(
            ensure_topics, admin, topics.results, settings.app_id, topics.replication_factor
        )
        forget_other_changelog(settings.data_dir, found.changelog_id)
        table = build_table(settings, kafka, found)
        catch_up = CatchUp(Broker(admin, _ADMIN_SECONDS), open_tail_consumer(kafka), settings.app_id, topics.results)
        lookup = Lookup(table, catch_up, settings.stuck_seconds)
        async with served(Pages(lookup), settings.port) as address:
            with announced(settings.data_dir, address):
                on_listening(address)
                await _run(table, lookup, stop)
        catch_up.close()


async def _run(table: NewestTable, lookup: Lookup, stop: asyncio.Event) -> None:
    starting = asyncio.create_task(_start(table))
    watching = asyncio.create_task(lookup.watch())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            await watching  # it only ends by raising
    finally:
        watching.cancel()
        starting.cancel()
    with suppress(TimeoutError):
        await asyncio.wait_for(table.app.stop(), _STOP_SECONDS)


async def _start(table: NewestTable) -> None:
    try:
        await table.app.start()
    except Exception as error:
        table.failure = error
