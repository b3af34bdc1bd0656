"""The topics behind the table: the results that fill it, and the changelog that it is rebuilt from."""

from __future__ import annotations

import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic, TopicDescription

from sightstream.consumers.kafka.topic_description import describe_topics
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.lookup.errors import LookupFailure
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES

TABLE = "newest"
_TIMEOUT_S = 30
_CHECK_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class TableTopics:
    """`results_id` and `changelog_id` are Kafka's own identities; both topics have `partitions`."""

    results: str
    results_id: str
    changelog: str
    changelog_id: str
    partitions: int


def ensure_topics(admin: AdminClient, results: str, group_id: str, replication_factor: int) -> TableTopics:
    """Create the changelog if it is missing, and describe both topics. Raises LookupFailure."""
    results_id, partitions = _describe(admin, results)
    changelog = f"{group_id}-{TABLE}-changelog"
    _create(admin, changelog, partitions, replication_factor)
    changelog_id, changelog_partitions = _describe(admin, changelog, _TIMEOUT_S)
    if changelog_partitions != partitions:
        raise LookupFailure(
            f"{changelog} has {changelog_partitions} partitions and {results} has {partitions}; they must be the same: "
            f"{_rebuild(changelog)}"
        )
    return TableTopics(results, results_id, changelog, changelog_id, partitions)


def check_unchanged(admin: AdminClient, known: TableTopics) -> None:
    """Ask Kafka whether the topics are still those that the table was made for. Blocks for seconds.

    Raises LookupFailure when they are not: Faust would crash at a partition that it does not know.
    Raises KafkaReadError when the broker does not tell.
    """
    described = describe_topics(admin, [known.results, known.changelog], _CHECK_TIMEOUT_S)
    try:
        found: dict[str, TopicDescription] = {name: future.result() for name, future in described.items()}
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise LookupFailure(f"{error.args[0].str()}; create the topics again and start the lookup again") from None
        raise KafkaReadError(error.args[0].str()) from None
    ids = {known.results: known.results_id, known.changelog: known.changelog_id}
    for name, topic in found.items():
        if str(topic.topic_id) != ids[name]:
            raise LookupFailure(f"{name} was deleted and created again; start the lookup again")
        if len(topic.partitions) != known.partitions:
            raise LookupFailure(
                f"{name} has {len(topic.partitions)} partitions now, the table was made for {known.partitions}; "
                f"{_rebuild(known.changelog)}"
            )


def _rebuild(changelog: str) -> str:
    return (
        f"stop the lookups, delete {changelog}, or set another group_id, and start them: the table is built again "
        f"from the results"
    )


def _describe(admin: AdminClient, topic: str, appears_within_s: float = 0) -> tuple[str, int]:
    """Return the topic's id and partition count. A topic just created may appear a moment later."""
    deadline = time.monotonic() + appears_within_s
    while True:
        try:
            found: TopicDescription = describe_topics(admin, [topic], _TIMEOUT_S)[topic].result()
            return str(found.topic_id), len(found.partitions)
        except KafkaException as error:
            unknown = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            if not unknown or time.monotonic() > deadline:
                raise LookupFailure(f"{topic}: {error.args[0].str()}; are the broker and its topics up?") from None
        time.sleep(0.1)


def _create(admin: AdminClient, name: str, partitions: int, replication_factor: int) -> None:
    config = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_OUTCOME_RECORD_BYTES)}
    wanted = NewTopic(name, partitions, replication_factor, config=config)
    try:
        admin.create_topics([wanted], operation_timeout=_TIMEOUT_S)[name].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise LookupFailure(f"{name} can't be created: {error.args[0].str()}") from None
