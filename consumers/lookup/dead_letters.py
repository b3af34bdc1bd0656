"""Remembers the newest dead letters by product, so that such a product is told from one that nobody asked about.

They are in memory alone, and read anew from the end of the topic at each start: as many as `CAPACITY`.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import KafkaException, Message, TopicPartition

from sightstream.consumers.kafka.message import headers_of
from sightstream.consumers.kafka.tail import TailConsumer
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId
from sightstream.schemas.wire.dead_letter import Failure

log = logging.getLogger(__name__)

CAPACITY = 100_000
POLL_S = 0.5
PAUSE_S = 30.0


class OffsetBroker(Protocol):
    """The part of consumers.kafka.broker.Broker that is used here."""

    def partitions(self, topics: tuple[str, ...]) -> list[PartitionId]: ...
    def stable_ends(self, partitions: list[PartitionId]) -> dict[PartitionId, int]: ...
    def starts(self, partitions: list[PartitionId]) -> dict[PartitionId, int]: ...


@dataclass(frozen=True, slots=True)
class DeadLetterNote:
    """What is remembered of a dead letter."""

    reason: str
    stage: str
    detail: str
    failed_at: str


class DeadLetters:
    """The newest of each product, those that came last. Thread safe."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity, self._lock = capacity, threading.Lock()
        self._notes: OrderedDict[bytes, DeadLetterNote] = OrderedDict()

    def get(self, key: bytes) -> DeadLetterNote | None:
        with self._lock:
            return self._notes.get(key)

    def add(self, message: Message) -> None:
        """Remember a record of the topic; one that is no dead letter is passed over."""
        key, headers = message.key(), headers_of(message)
        try:
            failure = Failure.from_headers(headers or [])
        except (KeyError, ValueError):
            return
        if not isinstance(key, bytes):
            return
        note = DeadLetterNote(
            str(failure.reason), str(failure.stage), failure.detail, failure.failed_at.isoformat(timespec="seconds")
        )
        with self._lock:
            self._notes[key] = note
            self._notes.move_to_end(key)
            if len(self._notes) > self._capacity:
                self._notes.popitem(last=False)


def follow(
    letters: DeadLetters, broker: OffsetBroker, consumer: TailConsumer, topic: str, stopped: Callable[[], bool]
) -> None:
    """Read the topic's newest records and all that come, until `stopped`. Blocks: call it on a thread of its own."""
    wait = threading.Event().wait
    while not stopped():
        try:
            consumer.assign(_newest(broker, topic))
            while not stopped():
                message = consumer.poll(POLL_S)
                if message is not None and message.error() is None:
                    letters.add(message)
        except (KafkaReadError, KafkaException) as error:
            log.warning("dead letters can't be read yet: %s", error)
            wait(PAUSE_S)


def _newest(broker: OffsetBroker, topic: str) -> list[TopicPartition]:
    partitions = broker.partitions((topic,))
    starts, ends = broker.starts(partitions), broker.stable_ends(partitions)
    most = CAPACITY // max(1, len(partitions))
    return [TopicPartition(*at, max(starts[at], ends[at] - most)) for at in partitions]
