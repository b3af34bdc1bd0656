"""Streams the records between two offsets of some partitions, in the order of each partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from sightstream.consumers.kafka.message import is_fatal, partition_of, record_id
from sightstream.consumers.kafka.tail import TailConsumer
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId

POLL_S = 0.2
# The client reconnects by itself; a longer silence is an outage.
SILENCE_S = 30.0
_REFUSED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._AUTHENTICATION,
)


@dataclass(frozen=True, slots=True)
class OffsetSpan:
    """The offsets [`start`, `end`) of a partition."""

    start: int
    end: int


def read_spans(
    consumer: TailConsumer,
    spans: Mapping[PartitionId, OffsetSpan],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Message]:
    """Yield the records that a `read_committed` consumer gets within the spans.

    It ends when every span is read, and only then: the end of a partition is an event of the client, so offsets that
    hold no record are noticed. Raises KafkaReadError when the broker is silent for SILENCE_S, or refuses us.
    """
    unread = {partition for partition, span in spans.items() if span.start < span.end}
    if not unread:
        return
    consumer.assign([TopicPartition(*partition, spans[partition].start) for partition in unread])
    try:
        yield from _read(consumer, spans, unread, clock)
    except KafkaException as error:
        raise KafkaReadError(f"records can't be read: {error.args[0].str()}") from None
    finally:
        consumer.unassign()


def _read(
    consumer: TailConsumer,
    spans: Mapping[PartitionId, OffsetSpan],
    unread: set[PartitionId],
    clock: Callable[[], float],
) -> Iterator[Message]:
    consumer.resume([TopicPartition(*partition) for partition in unread])  # a pause outlives an assignment
    heard_at = clock()
    while unread:
        message = consumer.poll(POLL_S)
        if message is None or not _is_answer(message):
            if clock() - heard_at > SILENCE_S:
                raise KafkaReadError(f"the broker sent nothing for {SILENCE_S:.0f} s; is it up?")
            continue
        at = record_id(message)
        partition = PartitionId(at.topic, at.partition)
        end = spans[partition].end if partition in unread else 0
        if message.error() is None and at.offset < end:
            yield message
        heard_at = clock()  # not before: the caller may have kept the message for long
        if partition in unread and at.offset >= (end if message.error() else end - 1):
            unread.discard(partition)
            consumer.pause([TopicPartition(*partition)])


def _is_answer(message: Message) -> bool:
    """Return whether it is a record or the end of a partition. Raises KafkaReadError for what waiting can't change."""
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._PARTITION_EOF:
        return partition_of(message) is not None
    if is_fatal(error) or error.code() in _REFUSED:
        raise KafkaReadError(f"{message.topic() or 'Kafka'}: {error.str()}")
    return False
