"""Settings of both ways to publish: one by one, and in bulk."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class PublisherSettings(BaseSettings):
    """Decides how much is buffered, how long is waited, and how large the transactions of a bulk run are.

    One by one, the buffer holds what is sent but not yet confirmed. In bulk, a batch is one transaction, and readers
    see it once it is committed.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_PUBLISH_", frozen=True, extra="forbid")

    question: str = Field(
        default="What is shown in this image?",
        min_length=1,
        max_length=8192,
        description="Question that `sightstream publish` asks about entries that bring none of their own.",
    )
    compression: Literal["none", "gzip", "lz4", "zstd"] = Field(
        default="zstd",
        description="Compression of the batches sent to the broker; choose lz4 or none to spend less CPU.",
    )
    linger_s: float = Field(
        default=0.02,
        ge=0,
        le=60,
        description="Seconds to wait for more records before a batch is sent; 0 sends each at once, more gives fewer "
        "and larger batches.",
    )
    connect_timeout_s: float = Field(
        default=15,
        gt=0,
        description="Seconds that the broker has to describe the request topic at start; raise it for a slow network.",
    )
    buffer_records: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Most records that may be sent but not yet confirmed, publishing one by one; beyond it publish() "
        "blocks. Raise it if producers wait on a fast broker.",
    )
    buffer_bytes: int = Field(
        default=64 * 1024**2,
        ge=1,
        le=1024**3,
        description="Most bytes that may be sent but not yet confirmed, publishing one by one; beyond it publish() "
        "blocks. The default is 64 MiB; lower it in small processes.",
    )
    block_timeout_s: float = Field(
        default=60,
        ge=0,
        description="Seconds that publish() blocks on a full buffer before it raises BufferFull; 0 never blocks, for "
        "callers that must not wait.",
    )
    delivery_timeout_s: float = Field(
        default=120,
        gt=0,
        description="Seconds after which an unconfirmed record counts as not delivered; raise it to outlast longer "
        "outages of the broker.",
    )
    batch_records: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Most records in one transaction of a bulk run; lower it so that readers see the records sooner.",
    )
    batch_bytes: int = Field(
        default=8 * 1024**2,
        ge=1,
        le=256 * 1024**2,
        description="Bytes of requests at which a transaction of a bulk run ends; the default is 8 MiB, and one batch "
        "is held in memory.",
    )
    transaction_timeout_s: float = Field(
        default=30,
        ge=1,
        le=900,
        description="Seconds after which the broker aborts a transaction of a bulk run; the run gives up at half of "
        "that and tries again. Raise it for slow links, up to the broker's transaction.max.timeout.ms.",
    )
    recovery_timeout_s: float = Field(
        default=300,
        ge=0,
        description="Seconds that a bulk run retries one batch while the broker does not answer; then it ends, and "
        "the next run continues. Raise it to outlast longer outages.",
    )

    def producer_config(self) -> dict[str, str | int]:
        """Return the librdkafka configuration that both ways to publish share."""
        return {"compression.type": self.compression, "linger.ms": round(self.linger_s * 1000)}
