"""The vocabulary of everything that reads Kafka."""

from __future__ import annotations

from typing import NamedTuple


class PartitionId(NamedTuple):
    """One partition of one topic, as a key. confluent-kafka's TopicPartition also holds an offset and metadata."""

    topic: str
    partition: int


class KafkaReadError(Exception):
    """Kafka can't be read now; the message says why. Reading again later may work."""


class MissingTopic(KafkaReadError):
    """The broker knows no topic of this name."""


class PendingOffsets(KafkaReadError):
    """A transaction that is not ended yet has offsets of the group: somebody commits right now."""
