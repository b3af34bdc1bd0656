"""Checks the request topic before anything is sent."""

from __future__ import annotations

from typing import cast

from sightstream.producers.errors import BrokerUnreachable, TopicMismatch
from sightstream.producers.kafka_clients import ClientConfig
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

POLL_S = 0.1


def check_topic(kafka: KafkaSettings, topics: TopicSettings, timeout_s: float) -> None:
    """Raise TopicMismatch unless the request topic exists with the configured number of partitions.

    Blocks `timeout_s` at most. Raises BrokerUnreachable when no broker tells by then.
    """
    found = partition_count(kafka, topics.requests, timeout_s)
    if found == 0:
        raise TopicMismatch(
            f"the topic {topics.requests} does not exist on {kafka.bootstrap_servers}; "
            f"create it with {topics.partitions} partitions"
        )
    if found != topics.partitions:
        raise TopicMismatch(
            f"{topics.requests} has {found} partitions, but {topics.partitions} are configured; keys would map to "
            f"the wrong partitions: set SIGHTSTREAM_TOPICS_PARTITIONS={found}, or use another topic"
        )


def partition_count(kafka: KafkaSettings, topic: str, timeout_s: float) -> int:
    """Return the number of partitions, 0 when there is no such topic. Asking never creates it.

    Blocks `timeout_s` at most. Raises BrokerUnreachable when no broker answers by then, or at once when one refuses us.
    """
    from confluent_kafka import KafkaError, KafkaException, TopicCollection
    from confluent_kafka.admin import AdminClient

    errors: list[KafkaError] = []
    # confluent-kafka types the configuration as text and numbers only, but callbacks belong in it.
    config = cast("ClientConfig", kafka.client_config() | {"log_level": 0, "error_cb": errors.append})
    admin = AdminClient(config)
    answer = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)[topic]
    refusing = (KafkaError._AUTHENTICATION, KafkaError._SSL)
    while not answer.done() and not any(error.code() in refusing for error in errors):
        admin.poll(POLL_S)  # delivers the errors; the answer itself comes on another thread
    try:
        return len(answer.result(0).partitions)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return 0
        errors.append(error.args[0])
    except TimeoutError:
        pass  # refused, and `errors` says why
    specific = [error for error in errors if error.code() != KafkaError._ALL_BROKERS_DOWN] or errors
    raise BrokerUnreachable(f"cannot describe {topic} on {kafka.bootstrap_servers}: {specific[0].str()}")
