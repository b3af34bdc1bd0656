"""Defines the topics' names and sizes, and the key rule.

The key rule: the key of every record is its `product_id` in UTF-8, and every producer partitions with Java's murmur2
(`partitioner=murmur2_random`), so that one product has the same partition number on every topic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PARTITIONER = "murmur2_random"
# A dead letter is the original record plus headers, so its topic allows more than the request topic does.
MAX_REQUEST_RECORD_BYTES = 1024 * 1024
MAX_OUTCOME_RECORD_BYTES = 2 * 1024 * 1024
# Markers are short and few: one partition, which a run of the redrive reads as a whole.
MAX_MARKER_BATCH_BYTES = 1024 * 1024
MARKER_PARTITIONS = 1


class TopicSettings(BaseSettings):
    """The topics. Requests, results and dead letters have the same number of partitions."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_TOPICS_", frozen=True, extra="forbid")

    requests: str = Field(
        default="image.requests",
        description="Topic that requests are published to; change it to follow your naming rules, everywhere at once.",
    )
    results: str = Field(
        default="image.results",
        description="Topic that workers write answers to; change it to follow your naming rules, everywhere at once.",
    )
    dead_letters: str = Field(
        default="image.dead-letters",
        description="Topic for requests that have no answer, with the reason; change it to follow your naming rules, "
        "everywhere at once.",
    )
    redrives: str = Field(
        default="image.redrives",
        description="Compacted topic that remembers which dead letters were redriven; change it to follow your naming "
        "rules, and use one for each dead-letter topic.",
    )
    partitions: int = Field(
        default=12,
        ge=1,
        le=10_000,
        description="Number of partitions of the request, result and dead-letter topics, which bounds how many workers "
        "can share the work; it must equal what the topics really have, and changing it later moves products to other "
        "partitions.",
    )
    replication_factor: int = Field(
        default=1,
        ge=1,
        le=32,
        description="Number of brokers that keep each topic that `sightstream up` creates; the default suits one "
        "broker, production uses 3.",
    )


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How to create a topic."""

    name: str
    partitions: int
    replication_factor: int
    config: dict[str, str] = field(default_factory=dict)


def topic_specs(settings: TopicSettings) -> list[TopicSpec]:
    """Return how to create the topics that a pipeline needs."""
    sizes = {
        settings.requests: MAX_REQUEST_RECORD_BYTES,
        settings.results: MAX_OUTCOME_RECORD_BYTES,
        settings.dead_letters: MAX_OUTCOME_RECORD_BYTES,
    }
    specs = [
        TopicSpec(name, settings.partitions, settings.replication_factor, {"max.message.bytes": str(size)})
        for name, size in sizes.items()
    ]
    compacted = {"max.message.bytes": str(MAX_MARKER_BATCH_BYTES), "cleanup.policy": "compact"}
    return [*specs, TopicSpec(settings.redrives, MARKER_PARTITIONS, settings.replication_factor, compacted)]


def record_key(product_id: str) -> bytes:
    """Return the Kafka key of every record about this product."""
    return product_id.encode()
