"""`ImagePublisher` is the client that a shop embeds; it loads confluent-kafka and pydantic, nothing heavier."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock, Thread
from types import TracebackType
from typing import TYPE_CHECKING

from sightstream.producers.buffer import Buffer
from sightstream.producers.errors import (
    BufferFull,
    DeliveryError,
    NotDelivered,
    PublisherClosed,
    PublishError,
    RequestRefused,
    RequestTooLarge,
)
from sightstream.producers.kafka_clients import ClientConfig, RecordProducer, create_producer
from sightstream.producers.settings import PublisherSettings
from sightstream.producers.topic_check import check_topic
from sightstream.producers.trace_headers import current_trace_headers
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.settings_file import configured
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.request_limits import encode_publishable
from sightstream.schemas.wire.topics import TopicSettings, record_key
from sightstream.schemas.wire.unusable_request import UnusableRequest

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

MAX_REMEMBERED_FAILURES = 20
POLL_S = 0.1
GRACE_S = 10.0
UNKNOWN = -1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordMetadata:
    """The coordinates under which the broker keeps a delivered record; -1 is a number that it did not report."""

    topic: str
    partition: int
    offset: int


class ImagePublisher:
    """Publishes requests to the request topic: idempotent, acknowledged by all replicas, keyed by product.

        with ImagePublisher() as publisher:
            publisher.publish(request)

    The `with` statement connects: it blocks up to `connect_timeout_s` of the settings, and raises BrokerUnreachable
    when no broker answers, TopicMismatch unless the topic exists with the configured number of partitions. Its end
    waits for the delivery report of every record, as close() does, and raises DeliveryError when one was not delivered.
    If the body already raised, that error is kept and carries the undelivered records in its `__notes__`.

    Thread safe: one publisher serves all threads of a process. It can't be opened again once it is closed.

    Args:
        kafka: Address and credentials of the broker.
        topics: Name of the request topic, and its number of partitions.
        settings: Sizes of the buffer, time limits and compression.
        create_producer: Creates the confluent-kafka producer; another one serves tests.
        check: Compares the topic with `topics`; another one serves tests.

    Settings that are not given are read from SIGHTSTREAM_ environment variables and from the TOML file that
    SIGHTSTREAM_CONFIG names.

    Raises:
        OSError: the settings file can't be read.
        ValueError: it is no TOML, or a setting is wrong or unknown (pydantic.ValidationError).
    """

    def __init__(
        self,
        kafka: KafkaSettings | None = None,
        topics: TopicSettings | None = None,
        settings: PublisherSettings | None = None,
        *,
        create_producer: Callable[[ClientConfig], RecordProducer] = create_producer,
        check: Callable[[KafkaSettings, TopicSettings, float], None] = check_topic,
    ) -> None:
        self._kafka = kafka or configured(KafkaSettings)
        self._topics = topics or configured(TopicSettings)
        self._settings = settings or configured(PublisherSettings)
        self._create_producer = create_producer
        self._check = check
        self._buffer = Buffer(self._settings.buffer_records, self._settings.buffer_bytes)
        self._failures = _Failures()
        self._stop = Event()
        self._producer: RecordProducer | None = None
        self._poller: Thread | None = None
        self._last_broker_error = ""

    def __enter__(self) -> ImagePublisher:
        if self._poller is not None:
            raise PublisherClosed("a publisher is opened once; make a new one")
        self._check(self._kafka, self._topics, self._settings.connect_timeout_s)
        self._producer = producer = self._create_producer(self._config())
        self._poller = Thread(target=self._poll, args=(producer,), name="publisher-reports", daemon=True)
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
        """Send one request. Blocks while the buffer is full, up to `block_timeout_s`.

        Args:
            request: What to publish; its `product_id` becomes the key. The record carries the W3C trace context of
                OpenTelemetry's current span, if there is one.

        Returns:
            A future that ends with RecordMetadata, or with NotDelivered. You may ignore it: flush() and close() report
            failures too. It can't be cancelled. Its callbacks run on the thread that reads delivery reports, so they
            must not block.

        Raises:
            RequestTooLarge: the encoded request is over 256 KiB.
            RequestRefused: it asks for too much, in a schema that cannot be used, or sets a reserved field.
            BufferFull: the buffer stayed full for `block_timeout_s`.
            PublisherClosed: the publisher is not open.
            PublishError: the producer can't continue; open a new publisher.

        After any of these errors nothing was sent.
        """
        value = _encode(request)
        producer = self._acquire(request.request_id, len(value))
        delivery: Future[RecordMetadata] = Future()
        delivery.set_running_or_notify_cancel()  # it is in flight, so it can't be cancelled
        report = partial(self._on_delivery, delivery, request.request_id, len(value))
        try:
            key = record_key(request.product_id)
            headers = current_trace_headers()
            producer.produce(self._topics.requests, value=value, key=key, headers=headers, on_delivery=report)
        except BaseException as error:
            self._buffer.release(len(value))
            if isinstance(error, Exception):
                raise PublishError(f"{request.request_id} was not sent: {error}; open a new publisher") from error
            raise
        return delivery

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait for the delivery report of everything published so far.

        Args:
            timeout_s: Seconds to block; None is a little more than `delivery_timeout_s`, by when all reports are in.

        Raises:
            DeliveryError: records failed since the last flush; publish them again.
            PublishError: reports are still missing after `timeout_s`; flush again.
        """
        if timeout_s is None:
            timeout_s = self._settings.delivery_timeout_s + GRACE_S
        complete = self._buffer.wait_empty(timeout_s)
        self._failures.raise_any()
        if not complete:
            waiting = self._buffer.records
            raise PublishError(f"{waiting} records have no delivery report yet{self._last_broker_error}; flush again")

    def close(self) -> None:
        """Refuse further requests, wait for all delivery reports, and stop. A second call does nothing.

        Blocks a little longer than `delivery_timeout_s` at most; a record without a report by then has failed.

        Raises:
            DeliveryError: records failed since the last flush; publish them again.
        """
        self._buffer.close()
        if self._producer is None or self._poller is None or self._stop.is_set():
            return
        try:
            if not self._buffer.wait_empty(self._settings.delivery_timeout_s + GRACE_S):
                self._producer.purge()  # makes a failure of every record without a delivery report
                self._buffer.wait_empty(GRACE_S)
        finally:
            self._stop.set()
            self._poller.join()
        self._failures.raise_any()

    def _acquire(self, request_id: str, size: int) -> RecordProducer:
        if self._producer is None:
            raise PublisherClosed("open the publisher first: with ImagePublisher(...) as publisher")
        if self._buffer.acquire(size, self._settings.block_timeout_s):
            return self._producer
        if self._buffer.closed:
            raise PublisherClosed(f"{request_id} was not sent: the publisher is closed")
        raise BufferFull(
            f"{request_id} was not sent: {self._buffer.records} records wait for the broker and none was confirmed "
            f"within {self._settings.block_timeout_s:g} s{self._last_broker_error}; publish it again later"
        )

    def _on_delivery(
        self,
        delivery: Future[RecordMetadata],
        request_id: str,
        size: int,
        error: KafkaError | None,
        message: Message,
    ) -> None:
        """Record the failure before releasing the buffer, so that flush sees it. Runs on the polling thread."""
        if error is None:
            delivery.set_result(self._metadata_of(message))
        else:
            failure = NotDelivered(request_id, error.str())
            self._failures.add(failure)
            delivery.set_exception(failure)
        self._buffer.release(size)

    def _metadata_of(self, message: Message) -> RecordMetadata:
        partition, offset = message.partition(), message.offset()
        return RecordMetadata(
            message.topic() or self._topics.requests,
            UNKNOWN if partition is None else partition,
            UNKNOWN if offset is None else offset,
        )

    def _poll(self, producer: RecordProducer) -> None:
        while not self._stop.is_set():
            try:
                producer.poll(POLL_S)
            except Exception:  # this thread must continue, or no delivery is ever reported
                log.exception("reading delivery reports")

    def _on_broker_error(self, error: KafkaError) -> None:
        self._last_broker_error = f" ({error.str()})"
        log.warning("kafka: %s", error.str())

    def _config(self) -> ClientConfig:
        """Make librdkafka's own queue wider than our buffer, so that our buffer is the one that blocks."""
        return {
            **self._kafka.producer_config(),
            **self._settings.producer_config(),
            "message.timeout.ms": round(self._settings.delivery_timeout_s * 1000),
            "queue.buffering.max.messages": 2 * self._settings.buffer_records,
            "queue.buffering.max.kbytes": self._settings.buffer_bytes // 512 + 1024,
            "error_cb": self._on_broker_error,
        }


def _encode(request: ImageRequest) -> bytes:
    try:
        return encode_publishable(request)
    except UnusableRequest as problem:
        refusal = RequestTooLarge if problem.reason is Reason.REQUEST_TOO_LARGE else RequestRefused
        raise refusal(f"{request.request_id}: {problem}") from None


class _Failures:
    """Counts the records that failed since the last raise_any(), and keeps the first of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0
        self._first: list[NotDelivered] = []

    def add(self, failure: NotDelivered) -> None:
        with self._lock:
            self._count += 1
            if len(self._first) < MAX_REMEMBERED_FAILURES:
                self._first.append(failure)

    def raise_any(self) -> None:
        with self._lock:
            count, first = self._count, self._first
            self._count, self._first = 0, []
        if count:
            raise DeliveryError(count, first)
