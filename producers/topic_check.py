"""Looks at the request topic before anything is sent."""

from __future__ import annotations

from producers.errors import TopicMismatch
from schemas.kafka import KafkaSettings
from schemas.topics import TopicSettings


def check_topic(kafka: KafkaSettings, topics: TopicSettings, timeout_s: float) -> None:
    """Raises TopicMismatch unless the request topic exists with the configured number of partitions."""
    found = partition_count(kafka, topics.requests, timeout_s)
    if found == 0:
        raise TopicMismatch(
            f"the topic {topics.requests} does not exist on {kafka.bootstrap_servers}; "
            f"create it with {topics.partitions} partitions"
        )
    if found != topics.partitions:
        raise TopicMismatch(
            f"{topics.requests} has {found} partitions, but {topics.partitions} are configured; keys would go astray: "
            f"set SIGHTSTREAM_TOPICS_PARTITIONS={found}, or use another topic"
        )


def partition_count(kafka: KafkaSettings, topic: str, timeout_s: float) -> int:
    """0 when there is no such topic. Asking never creates it. Raises TopicMismatch when no broker answers in time."""
    from confluent_kafka import KafkaError, KafkaException, TopicCollection
    from confluent_kafka.admin import AdminClient

    last_words: list[str] = []
    admin = AdminClient(
        kafka.client_config() | {"log_level": 0, "error_cb": lambda error: last_words.append(str(error))}
    )
    asked = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)
    try:
        return len(asked[topic].result(timeout_s + 5).partitions)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return 0
        why = last_words[-1] if last_words else error.args[0].str()
        raise TopicMismatch(f"can't look at {topic} on {kafka.bootstrap_servers}: {why}") from None
