"""Settings of the results store."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    """Where the rows go, and how many records make one database transaction.

    A batch is written when it holds `batch_records` or is `batch_seconds` old. `metrics_port` 0 serves no metrics.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_STORE_", frozen=True, extra="forbid")

    path: Path = Path(".sightstream/results.db")
    group: str = Field(default="sightstream-store", min_length=1, max_length=249)
    batch_records: int = Field(default=500, ge=1, le=100_000)
    batch_seconds: float = Field(default=0.2, gt=0, le=60)
    session_timeout_seconds: float = Field(default=30, ge=6, le=1800)
    metrics_port: int = Field(default=0, ge=0, le=65535)
