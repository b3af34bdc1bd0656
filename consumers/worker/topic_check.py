"""Checks the topics before the first record is consumed, so that a wrong one shows at start and not after a day."""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigEntry, ConfigResource, ResourceType

from sightstream.pipeline.errors import Fatal
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES, TopicSettings

TIMEOUT_S = 30.0
_MAX_MESSAGE_BYTES = "max.message.bytes"


def check_topics(kafka: KafkaSettings, topics: TopicSettings) -> None:
    """Raise Fatal unless all three exist, have the same partitions, and accept outcomes of every size."""
    admin = AdminClient(kafka.client_config(), logger=client_logger(__name__))
    names = (topics.requests, topics.results, topics.dead_letters)
    try:
        known = admin.list_topics(timeout=TIMEOUT_S).topics
        _check_partitions({name: len(known[name].partitions) if name in known else 0 for name in names})
        _check_sizes({name: _max_message_bytes(admin, name) for name in (topics.results, topics.dead_letters)})
    except KafkaException as error:
        raise Fatal(f"cannot describe the topics on {kafka.bootstrap_servers}: {error.args[0].str()}") from error


def _check_partitions(counts: dict[str, int]) -> None:
    missing = [name for name, count in counts.items() if count == 0]
    if missing:
        raise Fatal(f"the topics {missing} do not exist; `sightstream up` creates them locally")
    if len(set(counts.values())) > 1:
        raise Fatal(f"the topics must have the same number of partitions, but have {counts}")


def _check_sizes(sizes: dict[str, int]) -> None:
    small = {name: size for name, size in sizes.items() if size < MAX_OUTCOME_RECORD_BYTES}
    if small:
        raise Fatal(f"set {_MAX_MESSAGE_BYTES} of these topics to {MAX_OUTCOME_RECORD_BYTES} or more: {small}")


def _max_message_bytes(admin: AdminClient, topic: str) -> int:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    future = admin.describe_configs([resource], request_timeout=TIMEOUT_S)[resource]
    entries: dict[str, ConfigEntry] = future.result(TIMEOUT_S)
    value = entries[_MAX_MESSAGE_BYTES].value
    if value is None:
        raise Fatal(
            f"the broker does not show {_MAX_MESSAGE_BYTES} of {topic}; allow this user to describe its settings"
        )
    return int(value)
