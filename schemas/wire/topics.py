"""Topic names, sizes and the key rule.

Key rule: every record's key is its `product_id` in UTF-8, and every producer partitions with Java's murmur2
(`partitioner=murmur2_random`), so that one product lives on the same partition number of every topic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PARTITIONER = "murmur2_random"
# A dead letter is the original record plus headers, so its topic takes more than the request topic does.
MAX_REQUEST_RECORD_BYTES = 1024 * 1024
MAX_OUTCOME_RECORD_BYTES = 2 * 1024 * 1024


class TopicSettings(BaseSettings):
    """Names of the three topics; all have the same number of partitions."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_TOPICS_", frozen=True, extra="forbid")

    requests: str = "image.requests"
    results: str = "image.results"
    dead_letters: str = "image.dead-letters"
    partitions: int = Field(default=12, ge=1, le=10_000)
    replication_factor: int = Field(default=1, ge=1, le=32)


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be created."""

    name: str
    partitions: int
    replication_factor: int
    config: dict[str, str] = field(default_factory=dict)


def topic_specs(settings: TopicSettings) -> list[TopicSpec]:
    """The three topics that a pipeline needs."""
    sizes = {
        settings.requests: MAX_REQUEST_RECORD_BYTES,
        settings.results: MAX_OUTCOME_RECORD_BYTES,
        settings.dead_letters: MAX_OUTCOME_RECORD_BYTES,
    }
    return [
        TopicSpec(name, settings.partitions, settings.replication_factor, {"max.message.bytes": str(size)})
        for name, size in sizes.items()
    ]


def record_key(product_id: str) -> bytes:
    """The Kafka key of every record about this product."""
    return product_id.encode()
