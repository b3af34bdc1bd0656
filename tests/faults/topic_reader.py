"""Reads what the checker judges from a real broker; the concurrent reader runs beside the workers all along."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable

from confluent_kafka import Consumer, IsolationLevel, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.message import headers_of, record_id
from sightstream.consumers.kafka.offset_metadata import decode
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import WireError, decode_request
from sightstream.schemas.wire.dead_letter import HEADER_PREFIX, RecordId
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.history import Committed, End, Outcome, Request, Sighting

TIMEOUT_S = 30
_LATEST: Callable[[], OffsetSpec] = OffsetSpec.latest  # confluent-kafka gives the method no types
# Decompressed, a batch may be far larger than the topic's limit, which counts it compressed.
MAX_RECEIVED_BYTES = 512 * 1024**2


def reader_config(kafka: KafkaSettings, isolation: str = "read_committed") -> dict[str, str | int | float | bool]:
    """Return the configuration of a reader that belongs to no group and says so when records are gone."""
    return kafka.client_config() | {
        "group.id": "reader",
        "enable.auto.commit": False,
        "isolation.level": isolation,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "receive.message.max.bytes": MAX_RECEIVED_BYTES,
        "socket.timeout.ms": 5000,  # a frozen broker must not delay the reader, which measures the recovery
        "log_level": 0,  # brokers go away on purpose
    }


def read_topic(kafka: KafkaSettings, topic: str, isolation: str = "read_committed") -> list[Message]:
    """Return the whole topic, up to its last stable offsets."""
    # The broker holds a fetch at the end of a partition back for this long, and the end is all that is waited for.
    options: dict[str, str | int] = {"auto.offset.reset": "earliest", "fetch.wait.max.ms": 20}
    consumer = Consumer(reader_config(kafka, isolation) | options)
    partitions = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    found: list[Message] = []
    unread = set(partitions)
    deadline = time.monotonic() + TIMEOUT_S
    while unread:
        message = consumer.poll(1)
        if message is None or _is_passing(message.error()):
            assert time.monotonic() < deadline, f"no end of {topic} {unread}"
            continue
        error = message.error()
        if error is None:
            found.append(message)
            deadline = time.monotonic() + TIMEOUT_S
        else:
            assert error.code() == KafkaError._PARTITION_EOF, error
            unread.discard(record_id(message).partition)
    consumer.close()
    return found


def _is_passing(error: KafkaError | None) -> bool:
    """Return whether the client repeats what failed by itself: a broker is away, or a leader has moved."""
    return error is not None and error.code() not in (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET)


class ConcurrentReader:
    """A `read_committed` reader of results and dead letters on a thread of its own, from the topics' beginnings."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        self._kafka, self._topics = kafka, topics
        self._sightings: list[Sighting] = []
        self._errors: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="concurrent-reader", daemon=True)

    def start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT_S)

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        return tuple(self._sightings)

    @property
    def count(self) -> int:
        return len(self._sightings)

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(self._errors)

    def catch_up(self, outcomes: Iterable[Outcome], timeout_s: float = TIMEOUT_S) -> None:
        """Wait until it has seen these outcomes, or the time is over: the checker tells what is missing."""
        wanted = {outcome.at for outcome in outcomes}
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not wanted <= {sighting.outcome.at for sighting in self.sightings}:
            time.sleep(0.05)

    def _run(self) -> None:
        consumer = Consumer(reader_config(self._kafka) | {"enable.partition.eof": False, "fetch.wait.max.ms": 50})
        try:
            consumer.assign(self._partitions(consumer))
            while not self._stopping.is_set():
                if (message := consumer.poll(0.2)) is not None:
                    self._note(message)
        except Exception as error:
            self._errors.append(f"the concurrent reader failed: {error!r}")
        finally:
            consumer.close()

    def _partitions(self, consumer: Consumer) -> list[TopicPartition]:
        names = (self._topics.results, self._topics.dead_letters)
        deadline = time.monotonic() + TIMEOUT_S
        while not set(names) <= (known := consumer.list_topics(timeout=TIMEOUT_S).topics).keys():
            assert time.monotonic() < deadline, f"a broker does not know {names}"  # it may, a moment after creation
            time.sleep(0.1)
        return [TopicPartition(name, partition, 0) for name in names for partition in known[name].partitions]

    def _note(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._sightings.append(Sighting(outcome_of(message), int(time.time() * 1000)))
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._errors.append(f"the concurrent reader lost its position: {error}")


def request_of(message: Message) -> Request:
    key, value = message.key(), message.value()
    try:
        request = decode_request(value)
    except WireError:
        return Request(record_id(message), key, key, None, digest(key, value))
    return Request(record_id(message), key, request.product_id.encode(), request.request_id, digest(key, value))


def outcome_of(message: Message) -> Outcome:
    """Return the outcome; what others may have written there has no source, and is a violation."""
    headers = {name: content for name, content in headers_of(message) or [] if content is not None}
    key, value = message.key(), message.value()
    reason = headers.get(HEADER_PREFIX + "reason", b"").decode() or None
    is_omitted = HEADER_PREFIX + "omitted-bytes" in headers
    return Outcome(
        at=record_id(message),
        key=key,
        source=_source(headers),
        written_ms=message.timestamp()[1],
        request_id=_request_id(value) if reason is None else None,
        reason=reason,
        digest=None if is_omitted else digest(key, value),
    )


def _source(headers: dict[str, bytes]) -> RecordId | None:
    try:
        return RecordId.from_headers(list(headers.items()))
    except (KeyError, ValueError):
        return None


def _request_id(value: bytes | None) -> str | None:
    parsed = json.loads(value or b"{}")
    return str(parsed.get("request_id"))


def digest(key: bytes | None, value: bytes | None) -> str:
    return hashlib.sha256(repr((key, value)).encode()).hexdigest()


def read_committed_offsets(kafka: KafkaSettings, group: str, topic: str) -> dict[int, Committed]:
    """Return what the group has committed for the topic, by partition."""
    found = Broker(AdminClient(kafka.client_config()), TIMEOUT_S).committed(group)
    return {
        partition.partition: Committed(at.offset, decode(at.metadata, at.offset))
        for partition, at in found.items()
        if partition.topic == topic
    }


def read_ends(kafka: KafkaSettings, topics: Iterable[str]) -> tuple[End, ...]:
    """Return both ends of every partition, as the leaders know them."""
    admin = AdminClient(kafka.client_config())
    known = admin.list_topics(timeout=TIMEOUT_S).topics
    partitions = [(topic, partition) for topic in topics for partition in known[topic].partitions]
    # The stable ends first: what ends in between can only make them look older, and the caller asks again.
    stable = _ends(admin, partitions, IsolationLevel.READ_COMMITTED)
    high = _ends(admin, partitions, IsolationLevel.READ_UNCOMMITTED)
    return tuple(End(*partition, stable[partition], high[partition]) for partition in partitions)


def _ends(admin: AdminClient, partitions: list[tuple[str, int]], level: IsolationLevel) -> dict[tuple[str, int], int]:
    wanted = {TopicPartition(*partition): _LATEST() for partition in partitions}
    futures = admin.list_offsets(wanted, isolation_level=level, request_timeout=TIMEOUT_S)
    return {(at.topic, at.partition): future.result(TIMEOUT_S).offset for at, future in futures.items()}
