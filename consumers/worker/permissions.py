"""Turns a refusal for lack of a permission into an end that names it: waiting does not bring a permission."""

from __future__ import annotations

from confluent_kafka import KafkaError

from sightstream.pipeline.errors import Fatal

_REMEDIES = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Read, Describe and DescribeConfigs on the request topic, and Write, "
    "Describe and DescribeConfigs on the result and dead-letter topics",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "Read and Describe on the workers' group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "Write and Describe on the transactional ids that begin with the "
    "workers' group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "IdempotentWrite on the cluster",
}


def check_permission(error: KafkaError) -> None:
    """Raise Fatal, with the ACL to add, if Kafka refused us for lack of a permission."""
    if remedy := _REMEDIES.get(error.code()):
        raise Fatal(
            f"Kafka refuses this user: {error.str()}; allow it {remedy} (docs/how-to/your-kafka-tls.md lists all)"
        )
