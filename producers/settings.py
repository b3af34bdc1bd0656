"""How much is buffered, how long is waited, how large a bulk transaction is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class PublisherSettings(BaseSettings):
    """Times are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_PUBLISH_", frozen=True, extra="forbid")

    question: str = Field(default="What is shown in this image?", min_length=1, max_length=8192)
    compression: Literal["none", "gzip", "lz4", "zstd"] = "zstd"
    linger_s: float = Field(default=0.02, ge=0, le=60)
    connect_timeout_s: float = Field(default=15, gt=0)

    # One by one: records that are sent but not yet confirmed.
    buffer_records: int = Field(default=10_000, ge=1, le=1_000_000)
    buffer_bytes: int = Field(default=64 * 1024**2, ge=1, le=1024**3)
    block_timeout_s: float = Field(default=60, ge=0)
    delivery_timeout_s: float = Field(default=120, gt=0)

    # In bulk: a batch is one transaction, and readers see it when it is committed. The broker aborts a transaction that
    # lasts longer than its timeout; a run gives up at half of that and tries again.
    batch_records: int = Field(default=1000, ge=1, le=100_000)
    batch_bytes: int = Field(default=8 * 1024**2, ge=1, le=256 * 1024**2)
    transaction_timeout_s: float = Field(default=30, ge=1, le=900)
    recovery_timeout_s: float = Field(default=300, ge=0)

    def producer_config(self) -> dict[str, str | int]:
        """librdkafka's names for what both ways of publishing share."""
        return {"compression.type": self.compression, "linger.ms": round(self.linger_s * 1000)}
