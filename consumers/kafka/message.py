"""The coordinates and headers of a message, without the None and dict that confluent-kafka's types allow."""

from __future__ import annotations

from operator import methodcaller

from confluent_kafka import KafkaError, Message

from sightstream.consumers.kafka.types import KafkaReadError, PartitionId
from sightstream.schemas.wire.dead_letter import Headers, RecordId


class IncompleteMessage(KafkaReadError):
    """A record came without its topic, partition or offset: an internal error of the client, not of the record."""


def record_id(message: Message) -> RecordId:
    """Return where the record is, or where a partition ends. Raises IncompleteMessage."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise IncompleteMessage(
            f"internal error: Kafka's client delivered topic {topic}, partition {partition}, offset {offset}; "
            f"start this process again"
        )
    return RecordId(topic, partition, offset)


def partition_of(message: Message) -> PartitionId | None:
    """Return the partition, None for an error that concerns the whole client or a whole topic."""
    topic, partition = message.topic(), message.partition()
    return None if topic is None or partition is None else PartitionId(topic, partition)


# Written as `message.headers()`, the call is specialized by CPython 3.11 once it has run some times, and then returns
# the broken list in place of the error. Called from C, the error is always raised.
_HEADERS = methodcaller("headers")


def headers_of(message: Message) -> Headers | None:
    """Return the headers, None when a name is not UTF-8: such a record is malformed.

    After such a name confluent-kafka would return a broken list at the next call, and reading that ends the process. So
    the message loses its headers: a second call returns none.
    """
    try:
        headers = _HEADERS(message) or []
    except (SystemError, UnicodeDecodeError):
        message.set_headers([])
        return None
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]


def is_fatal(error: KafkaError) -> bool:
    """Return whether the client that delivered this error does nothing any more.

    A consumer's fatal error comes as `_FATAL`, for which confluent-kafka's own `fatal()` is false.
    """
    return error.fatal() or error.code() == KafkaError._FATAL
