"""The topics behind the table: the results that feed it, and the changelog that it is rebuilt from."""

from __future__ import annotations

import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

from sightstream.consumers.lookup.errors import LookupFailed
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES

TABLE = "newest"
_SECONDS = 30


@dataclass(frozen=True, slots=True)
class TableTopics:
    """`results_id` and `changelog_id` are Kafka's own identities; both topics have `partitions`."""

    results: str
    results_id: str
    changelog: str
    changelog_id: str
    partitions: int


def ensure_topics(admin: AdminClient, results: str, app_id: str, replication_factor: int) -> TableTopics:
    """Creates the changelog where it is missing. Raises LookupFailed."""
    results_id, partitions = _describe(admin, results)
    changelog = f"{app_id}-{TABLE}-changelog"
    _create(admin, changelog, partitions, replication_factor)
    changelog_id, changelog_partitions = _describe(admin, changelog, _SECONDS)
    if changelog_partitions != partitions:
        raise LookupFailed(
            f"{changelog} has {changelog_partitions} partitions and {results} has {partitions}; they must be the same: "
            f"delete {changelog}, or name another app_id, and the table is built anew"
        )
    return TableTopics(results, results_id, changelog, changelog_id, partitions)


def _describe(admin: AdminClient, topic: str, appears_within_seconds: float = 0) -> tuple[str, int]:
    """Kafka's identity of the topic, and its partitions. A topic just made may take a moment to be known."""
    deadline = time.monotonic() + appears_within_seconds
    while True:
        try:
            found = admin.describe_topics(TopicCollection([topic]), request_timeout=_SECONDS)[topic].result()
            return str(found.topic_id), len(found.partitions)
        except KafkaException as error:
            unknown = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            if not unknown or time.monotonic() > deadline:
                raise LookupFailed(f"{topic}: {error.args[0].str()}; are the broker and its topics up?") from None
        time.sleep(0.1)


def _create(admin: AdminClient, name: str, partitions: int, replication_factor: int) -> None:
    config = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_OUTCOME_RECORD_BYTES)}
    wanted = NewTopic(name, partitions, replication_factor, config=config)
    try:
        admin.create_topics([wanted], operation_timeout=_SECONDS)[name].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise LookupFailed(f"{name} can't be created: {error.args[0].str()}") from None
