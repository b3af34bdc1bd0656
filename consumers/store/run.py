"""Puts the store together from its settings and runs it."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from sightstream.consumers.store.database import Database
from sightstream.consumers.store.errors import StoreError
from sightstream.consumers.store.follower import Feed, Follower
from sightstream.consumers.store.rows import dead_letter_row, result_row
from sightstream.consumers.store.settings import StoreSettings
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

log = logging.getLogger(__name__)

_ADMIN_SECONDS = 30


def run_store(
    settings: StoreSettings,
    kafka: KafkaSettings,
    topics: TopicSettings,
    stop: Callable[[], bool],
    idle_seconds: float | None = None,
) -> dict[str, int]:
    """Follows both topics until `stop()`, or until all was read `idle_seconds` ago. Rows written, by table.

    Raises StoreError for what needs a person, sqlite3.Error when the disk fails.
    """
    to_row = {topics.results: result_row, topics.dead_letters: dead_letter_row}
    admin = AdminClient(kafka.client_config(), logger=log)
    feed = Feed(to_row, lambda: topic_ids(admin, list(to_row)))
    with Database(settings.path) as database:
        database.check_topics(feed.topic_ids())
        follower = Follower(Consumer(consumer_config(settings, kafka), logger=log), database, feed, settings)
        follower.run(stop, idle_seconds)
        return follower.written


def consumer_config(settings: StoreSettings, kafka: KafkaSettings) -> dict[str, str | int | float | bool]:
    """Holds secrets: never log it."""
    return kafka.client_config() | {
        "group.id": settings.group,
        # A killed store comes back as the same member: its partitions are there at once, not after the session.
        "group.instance.id": instance_id(settings.path),
        "session.timeout.ms": int(settings.session_timeout_seconds * 1000),
        "partition.assignment.strategy": "cooperative-sticky",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",  # a lost position is never passed over in silence
    }


def instance_id(path: Path) -> str:
    """One database has one writer, so host and path name it."""
    return "store-" + hashlib.sha256(f"{socket.gethostname()}:{os.path.realpath(path)}".encode()).hexdigest()[:16]


def topic_ids(admin: AdminClient, names: list[str]) -> dict[str, str]:
    """Kafka's own identity of each topic. Raises StoreError when one is missing or the broker does not answer."""
    try:
        described = admin.describe_topics(TopicCollection(names), request_timeout=_ADMIN_SECONDS)
        return {name: str(described[name].result().topic_id) for name in names}
    except KafkaException as error:
        raise StoreError(
            f"can't read the topics {names}: {error.args[0].str()}; are the broker and its topics up?"
        ) from None
