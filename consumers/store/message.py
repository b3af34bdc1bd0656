"""Turns a message of confluent_kafka into the store's Record."""

from __future__ import annotations

from confluent_kafka import Message

from sightstream.consumers.kafka.message import headers_of, record_id
from sightstream.consumers.store.row import Record


def record_of(message: Message) -> Record:
    """Return the record of a message that carries no error. Raises IncompleteMessage.

    Headers with a name that is not UTF-8 are left out, so a dead letter with such headers becomes unreadable.
    """
    at = record_id(message)
    return Record(
        topic=at.topic,
        partition=at.partition,
        offset=at.offset,
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=headers_of(message) or [],
        leader_epoch=message.leader_epoch(),
    )
