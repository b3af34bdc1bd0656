"""Builds the store from its settings."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient, TopicDescription

from sightstream.consumers.disk_space import show_disk_space
from sightstream.consumers.kafka.topic_description import describe_topics
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.errors import StoreError
from sightstream.consumers.store.follower import Follower, TopicRowMapping
from sightstream.consumers.store.rows import dead_letter_row, result_row
from sightstream.consumers.store.settings import StoreSettings
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.spans import open_spans
from sightstream.schemas.connections.tracing import NO_TRACING, TracingSettings
from sightstream.schemas.wire.topics import TopicSettings

MAX_POLL_INTERVAL_S = 300  # the client's default: after so long without a poll it leaves the group
_ADMIN_TIMEOUT_S = 10


@contextmanager
def open_store(
    settings: StoreSettings,
    kafka: KafkaSettings,
    topics: TopicSettings,
    tracing: TracingSettings = NO_TRACING,
    on_turn: Callable[[str | None], None] = lambda problem: None,
) -> Iterator[Follower]:
    """Open the database, check it against the topics, and yield what follows them; nothing is read before its `run`.

    `on_turn` is called at each turn of the loop, with why nothing is read now. Raises StoreError for what needs a
    person, TracingUnavailable, sqlite3.Error when the disk fails.
    """
    to_row = {topics.results: result_row, topics.dead_letters: dead_letter_row}
    admin = AdminClient(kafka.client_config(), logger=client_logger(__name__))
    mapping = TopicRowMapping(to_row, lambda: topic_ids(admin, list(to_row)))
    with (
        Database(settings.path) as database,
        show_disk_space({"store_database": settings.path}),
        open_spans(tracing, "sightstream-store", instance_id(settings.path)) as spans,
    ):
        database.check_topics(mapping.topic_ids())
        consumer = Consumer(consumer_config(settings, kafka), logger=client_logger(__name__))
        yield Follower(consumer, database, mapping, settings, spans=spans, on_turn=on_turn)


def consumer_config(settings: StoreSettings, kafka: KafkaSettings) -> dict[str, str | int | float | bool]:
    """Return librdkafka's settings. They hold secrets: never log them."""
    return kafka.client_config() | {
        "group.id": settings.group_id,
        # A killed store comes back as the same member: its partitions are there at once, not after the session.
        "group.instance.id": instance_id(settings.path),
        "session.timeout.ms": int(settings.session_timeout_s * 1000),
        "partition.assignment.strategy": "cooperative-sticky",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        # The disk is slower than the broker: more would only wait in memory.
        "queued.max.messages.kbytes": 16 * 1024,
        "auto.offset.reset": "error",  # the follower handles a lost position, and logs it
    }


def instance_id(path: Path) -> str:
    """Return the process's identity: one database has one writer, so host and path name it."""
    return "store-" + hashlib.sha256(f"{socket.gethostname()}:{os.path.realpath(path)}".encode()).hexdigest()[:16]


def topic_ids(admin: AdminClient, names: list[str]) -> dict[str, str]:
    """Return each topic's id. Raises StoreError when a topic is missing or the broker does not answer."""
    try:
        described = describe_topics(admin, names, _ADMIN_TIMEOUT_S)
        topics: dict[str, TopicDescription] = {name: described[name].result() for name in names}
        return {name: str(topic.topic_id) for name, topic in topics.items()}
    except KafkaException as error:
        raise StoreError(
            f"can't read the topics {names}: {error.args[0].str()}; are the broker and its topics up?"
        ) from None
