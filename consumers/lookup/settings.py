"""Settings of the look-up."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LookupSettings(BaseSettings):
    """Where the table lives and where it is served.

    `app_id` is the consumer group and the first word of the changelog topic's name. `port` 0 takes a free one; the
    one in use then stands in `data_dir`/address. `block_cache_bytes` and `write_buffer_bytes` are memory for each
    partition of the table. A table that is not recovered for `stuck_seconds` ends the process with exit code 1.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_LOOKUP_", frozen=True, extra="forbid")

    app_id: str = Field(default="sightstream-lookup", pattern=r"^[A-Za-z0-9._-]{1,150}$")
    data_dir: Path = Path(".sightstream/lookup")
    port: int = Field(default=6066, ge=0, le=65535)
    block_cache_bytes: int = Field(default=8 * 1024 * 1024, ge=64 * 1024)
    write_buffer_bytes: int = Field(default=4 * 1024 * 1024, ge=64 * 1024)
    commit_seconds: float = Field(default=1, ge=0.1, le=60)
    session_timeout_seconds: float = Field(default=30, ge=6, le=300)
    stuck_seconds: float = Field(default=180, ge=10, le=3600)
