"""Settings of the results store."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sightstream.consumers.http_settings import HttpSettings


class StoreSettings(HttpSettings):
    """Settings of `sightstream store`: the database file, and how much is written at once."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_STORE_", frozen=True, extra="forbid")

    path: Path = Field(
        default=Path(".sightstream/results.db"),
        description="SQLite file for the rows, in the working directory by default; one store writes to it. Set it to "
        "a disk that is kept.",
    )
    group_id: str = Field(
        default="sightstream-store",
        min_length=1,
        max_length=249,
        description="Consumer group; stores with the same group divide the partitions, each with a file of its own. "
        "Change it for a second, complete database.",
    )
    batch_records: int = Field(
        default=500,
        ge=1,
        le=100_000,
        description="Records at which a batch is written to the database; raise it for throughput.",
    )
    batch_interval_s: float = Field(
        default=0.2,
        gt=0,
        le=60,
        description="Seconds after which a batch is written even if it is not full; raise it for fewer disk writes, "
        "lower it for fresher rows.",
    )
    session_timeout_s: float = Field(
        default=30,
        ge=6,
        le=1800,
        description="Seconds without a heartbeat after which Kafka gives the partitions of a dead store to another; "
        "lower it for a faster takeover.",
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port that serves /metrics, /healthz and /readyz; 0 serves none."
    )
