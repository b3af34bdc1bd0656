"""Settings of the lag reader."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LagSettings(BaseSettings):
    """Which groups are watched, and how often.

    `groups` are watched beside the three of the pipeline. Where at most `count_within` offsets are left in a
    partition its records are counted one by one; beyond that offsets are, transaction markers included.
    `window_seconds` is how far back the estimate of the time to empty looks. `metrics_port` 0 serves no metrics.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_LAG_", frozen=True, extra="forbid")

    worker_group: str = Field(default="sightstream-workers", min_length=1, max_length=249)
    store_group: str = Field(default="sightstream-store", min_length=1, max_length=249)
    lookup_group: str = Field(default="sightstream-lookup", min_length=1, max_length=249)
    groups: tuple[str, ...] = ()
    interval_seconds: float = Field(default=10, ge=1, le=3600)
    window_seconds: float = Field(default=120, ge=2, le=86_400)
    read_timeout_seconds: float = Field(default=10, gt=0, le=300)
    count_within: int = Field(default=500, ge=0, le=100_000)
    cluster_name: str = "kafka"
    metrics_port: int = Field(default=9308, ge=0, le=65535)
