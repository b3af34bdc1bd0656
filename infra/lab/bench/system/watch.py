"""Sees outcomes as a `read_committed` reader does, the moment they come, on a thread of its own."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightstream.infra.errors import CommandError
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.dead_letter import HEADER_PREFIX
from sightstream.schemas.wire.topics import TopicSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

POLL_S = 0.05
BATCH_RECORDS = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """One outcome, when the reader saw it. A dead letter has a `reason`, and its request's id is in its value."""

    at: float
    request_id: str
    reason: str | None
    cached: bool
    sha256: str
    seconds: dict[str, float]


class OutcomeReader:
    """Reads results and dead letters from their beginning; `seen` grows by each, in the order of sight."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        self.seen: list[Seen] = []
        self._kafka, self._topics = kafka, topics
        self._error: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outcome-reader", daemon=True)

    def __enter__(self) -> OutcomeReader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def count(self) -> int:
        """Return how many outcomes were seen. Raises CommandError when the reader has failed."""
        if self._error is not None:
            raise CommandError(f"the reader of results failed: {self._error}") from self._error
        return len(self.seen)

    def read_to_end(self) -> None:
        """Read on the calling thread until each partition has reached its end, as a committed reader sees it."""
        consumer = self._consumer()
        try:
            unread = {(at.topic, at.partition) for at in consumer.assignment()}
            while unread:
                unread -= self._read(consumer)
        finally:
            consumer.close()

    def _run(self) -> None:
        consumer = self._consumer()
        try:
            while not self._stopping.is_set():
                self._read(consumer)
        except Exception as error:
            self._error = error
        finally:
            consumer.close()

    def _read(self, consumer: Consumer) -> set[tuple[str | None, int | None]]:
        """Return the partitions that have come to their end."""
        messages = consumer.consume(BATCH_RECORDS, POLL_S)
        at = time.monotonic()
        self.seen += [_seen(message, at) for message in messages if message.error() is None]
        return {(message.topic(), message.partition()) for message in messages if _is_end(message)}

    def _consumer(self) -> Consumer:
        from confluent_kafka import Consumer, TopicPartition

        config = self._kafka.client_config() | {
            "group.id": "bench-reader",  # never joined
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
        consumer = Consumer(config, logger=client_logger(__name__))
        names, partitions = (self._topics.results, self._topics.dead_letters), range(self._topics.partitions)
        consumer.assign([TopicPartition(name, partition, 0) for name in names for partition in partitions])
        return consumer


def _is_end(message: Message) -> bool:
    """Raise CommandError for any other error than the end of a partition."""
    from confluent_kafka import KafkaError

    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise CommandError(f"results can't be read: {error.str()}")
    return error is not None


def _seen(message: Message, at: float) -> Seen:
    value: dict[str, Any] = json.loads(message.value() or b"{}")
    headers = dict(message.headers() or [])
    reason = headers.get(HEADER_PREFIX + "reason")
    images = value.get("images") or [value.get("image") or {}]
    return Seen(
        at,
        str(value.get("request_id")),
        reason.decode() if isinstance(reason, bytes) else reason,
        bool(value.get("cached")),
        str(images[0].get("sha256")),
        value.get("seconds") or {},
    )
