"""`ImagePublisher`: the client that a shop embeds. Loads confluent-kafka and pydantic, nothing heavier."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any

from sightstream.producers.buffer import Buffer
from sightstream.producers.errors import (
    BufferFull,
    DeliveryError,
    NotDelivered,
    PublisherClosed,
    PublishError,
    RequestTooLarge,
)
from sightstream.producers.settings import PublisherSettings
from sightstream.producers.topic_check import check_topic
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import MAX_REQUEST_BYTES, encode
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.topics import TopicSettings, record_key

REMEMBERED = 20
POLL_S = 0.1
GRACE_S = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordMetadata:
    """Where the broker keeps the record."""

    topic: str
    partition: int
    offset: int


class ImagePublisher:
    """Puts requests on the request topic: idempotent, acknowledged by all replicas, keyed by product.

        with ImagePublisher(kafka=KafkaSettings(...)) as publisher:
            publisher.publish(request)

    Entering raises TopicMismatch unless the topic is there with the configured number of partitions. Leaving waits for
    every record's fate and raises DeliveryError when one was not delivered; if the body already raised, that error
    goes on and carries the undelivered ones as a note. Thread safe.
    """

    def __init__(
        self,
        kafka: KafkaSettings | None = None,
        topics: TopicSettings | None = None,
        settings: PublisherSettings | None = None,
        *,
        connect: Callable[[dict[str, Any]], Any] | None = None,
        check: Callable[[KafkaSettings, TopicSettings, float], None] = check_topic,
    ) -> None:
        """Settings that are not given are read from the environment. Does not connect yet."""
        self._kafka = kafka or KafkaSettings()
        self._topics = topics or TopicSettings()
        self._settings = settings or PublisherSettings()
        self._connect = connect or _confluent_producer
        self._check = check
        self._buffer = Buffer(self._settings.buffer_records, self._settings.buffer_bytes)
        self._failures = _Failures()
        self._stop = Event()
        self._producer: Any = None
        self._poller = Thread(target=self._poll, name="publisher-reports", daemon=True)
        self._broker_words = ""

    def __enter__(self) -> ImagePublisher:
        self._check(self._kafka, self._topics, self._settings.connect_timeout_s)
        self._producer = self._connect(self._config())
        self._poller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.close()
        except DeliveryError as undelivered:
            if error is None:
                raise
            error.add_note(str(undelivered))

    def publish(self, request: ImageRequest) -> Future[RecordMetadata]:
        """Hands the request over. Blocks while the buffer is full, `block_timeout_s` at most.

        The future ends with RecordMetadata, or with NotDelivered; nobody has to look at it, flush() and leaving report
        failures too. Its callbacks run on the thread that reads delivery reports, so they must not block.
        Raises RequestTooLarge, BufferFull, PublisherClosed, or PublishError when the producer can't go on.
        """
        value = encode(request)
        if len(value) > MAX_REQUEST_BYTES:
            raise RequestTooLarge(f"{request.request_id}: {len(value)} bytes are over the cap of {MAX_REQUEST_BYTES}")
        self._enter(request.request_id, len(value))
        delivery: Future[RecordMetadata] = Future()
        delivery.set_running_or_notify_cancel()  # it is on its way, so it can't be cancelled
        report = partial(self._report, delivery, request.request_id, len(value))
        try:
            key = record_key(request.product_id)
            self._producer.produce(self._topics.requests, value=value, key=key, on_delivery=report)
        except BaseException as error:
            self._buffer.release(len(value))
            if isinstance(error, Exception):
                raise PublishError(f"{request.request_id} was not sent: {error}; open a new publisher") from error
            raise
        return delivery

    def flush(self, timeout_s: float | None = None) -> None:
        """Waits until the fate of everything published so far is known.

        Raises DeliveryError for what failed since the last flush, and PublishError when reports are still missing
        after `timeout_s` (by default a little more than `delivery_timeout_s`).
        """
        if timeout_s is None:
            timeout_s = self._settings.delivery_timeout_s + GRACE_S
        complete = self._buffer.wait_empty(timeout_s)
        self._failures.raise_any()
        if not complete:
            waiting = self._buffer.records
            raise PublishError(f"{waiting} records have no delivery report yet{self._broker_words}; flush again")

    def close(self) -> None:
        """Takes no more requests, waits as flush() does, and lets go. A second call does nothing."""
        self._buffer.close()
        if self._producer is None or self._stop.is_set():
            return
        try:
            if not self._buffer.wait_empty(self._settings.delivery_timeout_s + GRACE_S):
                self._producer.purge()  # turns every record without a fate into a failed one
                self._buffer.wait_empty(GRACE_S)
        finally:
            self._stop.set()
            self._poller.join()
        self._failures.raise_any()

    def _enter(self, request_id: str, size: int) -> None:
        if self._producer is None:
            raise PublisherClosed("open the publisher first: with ImagePublisher(...) as publisher")
        if self._buffer.acquire(size, self._settings.block_timeout_s):
            return
        if self._buffer.closed:
            raise PublisherClosed(f"{request_id} was not sent: the publisher is closed")
        raise BufferFull(
            f"{request_id} was not sent: {self._buffer.records} records wait for the broker and none was confirmed "
            f"within {self._settings.block_timeout_s:g} s{self._broker_words}; publish it again later"
        )

    def _report(self, delivery: Future[RecordMetadata], request_id: str, size: int, error: Any, message: Any) -> None:
        """Runs on the polling thread. Failures are noted before the room is given back, so that flush sees them."""
        if error is None:
            delivery.set_result(RecordMetadata(message.topic(), message.partition(), message.offset()))
        else:
            failure = NotDelivered(request_id, error.str())
            self._failures.add(failure)
            delivery.set_exception(failure)
        self._buffer.release(size)

    def _poll(self) -> None:
        while not self._stop.is_set():
            try:
                self._producer.poll(POLL_S)
            except Exception:  # without this thread nobody would ever learn of a delivery
                log.exception("reading delivery reports")

    def _note(self, error: Any) -> None:
        self._broker_words = f" ({error.str()})"
        log.warning("kafka: %s", error.str())

    def _config(self) -> dict[str, Any]:
        """librdkafka's own queue is wider than ours, so that ours is the one that blocks."""
        return {
            **self._kafka.producer_config(),
            **self._settings.producer_config(),
            "message.timeout.ms": round(self._settings.delivery_timeout_s * 1000),
            "queue.buffering.max.messages": 2 * self._settings.buffer_records,
            "queue.buffering.max.kbytes": self._settings.buffer_bytes // 512 + 1024,
            "error_cb": self._note,
        }


class _Failures:
    """How many records failed since the last look, and the first of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0
        self._first: list[NotDelivered] = []

    def add(self, failure: NotDelivered) -> None:
        with self._lock:
            self._count += 1
            if len(self._first) < REMEMBERED:
                self._first.append(failure)

    def raise_any(self) -> None:
        with self._lock:
            count, first = self._count, self._first
            self._count, self._first = 0, []
        if count:
            raise DeliveryError(count, first)


def _confluent_producer(config: dict[str, Any]) -> Any:
    from confluent_kafka import Producer

    return Producer(config, logger=logging.getLogger("sightstream.producers.librdkafka"))
