"""Looks at the topics before the first record is taken: what is wrong with them shows at start, not after a day."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from pipeline.errors import Fatal
from schemas.kafka import KafkaSettings
from schemas.topics import TopicSettings

TIMEOUT_S = 30.0
# What our headers add to a dead letter, at most.
HEADER_ROOM = 8 * 1024


def check_topics(kafka: KafkaSettings, topics: TopicSettings) -> None:
    """Raises Fatal unless all three exist, are split alike, and a dead letter can hold any request record."""
    admin = AdminClient(kafka.client_config())
    names = (topics.requests, topics.results, topics.dead_letters)
    try:
        known = admin.list_topics(timeout=TIMEOUT_S).topics
        _check_partitions({name: len(known[name].partitions) if name in known else 0 for name in names})
        _check_sizes(*(_max_message_bytes(admin, name) for name in (topics.requests, topics.dead_letters)))
    except KafkaException as error:
        raise Fatal(f"the topics can't be looked at on {kafka.bootstrap_servers}: {error.args[0].str()}") from error


def _check_partitions(counts: dict[str, int]) -> None:
    missing = [name for name, count in counts.items() if count == 0]
    if missing:
        raise Fatal(f"the topics {missing} do not exist; `sightstream up` creates them locally")
    if len(set(counts.values())) > 1:
        raise Fatal(f"the topics must have the same number of partitions, but have {counts}")


def _check_sizes(requests: int, dead_letters: int) -> None:
    if dead_letters < requests + HEADER_ROOM:
        raise Fatal(
            f"a dead letter is its request and headers: set max.message.bytes of the dead-letter topic to "
            f"{requests + HEADER_ROOM} or more (it is {dead_letters})"
        )


def _max_message_bytes(admin: Any, topic: str) -> int:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin.describe_configs([resource], request_timeout=TIMEOUT_S)[resource].result(TIMEOUT_S)
    return int(entries["max.message.bytes"].value)
