"""Fetches one raw record batch over a connection of its own. librdkafka hands out no raw batches; aiokafka's parts do.

Runs in the child process alone. The broker leaves out what lies behind an open transaction; records of aborted ones
are delivered with a list of those transactions.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from sightstream.consumers.kafka.aiokafka_arguments import aiokafka_arguments
from sightstream.consumers.worker.unreadable.record_batch import BatchHeader, first_batch
from sightstream.schemas.connections.kafka import KafkaSettings

READ_COMMITTED = 1
PARTITION_BYTES = 1024 * 1024  # a larger batch comes whole all the same
WAIT_MS = 1000
TIMEOUT_S = 60.0
_OFFSET_OUT_OF_RANGE = 1


class Unavailable(Exception):
    """The broker can't be asked now."""


class Gone(Exception):
    """The log does not have this offset."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """`batch` is empty at the end of the log. `aborted` are pairs of producer id and first offset."""

    batch: bytes
    aborted: tuple[tuple[int, int], ...]

    def is_aborted(self, header: BatchHeader) -> bool:
        """Return whether the batch, which begins the fetch, belongs to an aborted transaction.

        The broker lists the aborted transactions that end behind the fetched offset. A producer has one at a time, so
        one that began before the batch's end holds it.
        """
        return header.is_transactional and any(
            producer == header.producer_id and first < header.end for producer, first in self.aborted
        )


class BatchFetcher:
    """Asks the leader of one partition. Use it in `async with`."""

    def __init__(self, kafka: KafkaSettings, topic: str, partition: int) -> None:
        self._kafka, self._topic, self._partition = kafka, topic, partition
        self._client: Any = None

    async def __aenter__(self) -> BatchFetcher:
        from aiokafka.client import AIOKafkaClient

        self._client = AIOKafkaClient(**aiokafka_arguments(self._kafka))
        try:
            await asyncio.wait_for(self._connect(), TIMEOUT_S)
        except Exception as error:
            await self._client.close()
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        return self

    async def _connect(self) -> None:
        await self._client.bootstrap()
        await self._client._wait_on_metadata(self._topic)

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def fetch(self, offset: int) -> Fetched:
        """Return the batch that holds `offset`, or the first one behind it. Raises Unavailable or Gone."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            error_code, fetched = await self._ask(offset)
            if error_code == _OFFSET_OUT_OF_RANGE:
                raise Gone(f"offset {offset} left the log")
            if error_code == 0:
                return fetched
            if time.monotonic() > deadline:
                raise Unavailable(f"the broker answers with error {error_code}")
            await asyncio.sleep(0.5)
            await self._client.force_metadata_update()

    async def _ask(self, offset: int) -> tuple[int, Fetched]:
        from aiokafka.protocol.fetch import FetchRequest
        from aiokafka.structs import TopicPartition

        leader = self._client.cluster.leader_for_partition(TopicPartition(self._topic, self._partition))
        wanted = [(self._topic, [(self._partition, offset, PARTITION_BYTES)])]
        request = FetchRequest(WAIT_MS, 1, PARTITION_BYTES, READ_COMMITTED, wanted)
        try:
            response = await self._client.send(leader, request)
        except Exception as error:  # aiokafka's errors have no common kind that excludes programming errors
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        ((_, (answer,)),) = response.topics
        # Partition, error, high watermark, last stable offset, log start, aborted transactions, (replica,) records.
        aborted = tuple((producer, first) for producer, first in answer[5] or ())
        return answer[1], Fetched(first_batch(answer[-1] or b""), aborted)
