"""What may be fetched from where, and the caps."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class FetchSettings(BaseSettings):
    """In production, list the hosts and buckets that images come from.

    `allowed_hosts`, `allowed_buckets`: empty allows any public host and any bucket; a host that is listed is a
    dependency, whose outage requests wait out. `file_roots`: folders that file:// may read; none by default.
    `allow_private_addresses` and `allowed_ports` open what is shut against server-side request forgery.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_FETCH_", frozen=True, extra="forbid")

    max_bytes: int = Field(default=32 * 1024**2, ge=1)
    connect_timeout_s: float = Field(default=5, gt=0)
    total_timeout_s: float = Field(default=30, gt=0)
    max_redirects: int = Field(default=3, ge=0, le=10)
    allowed_hosts: tuple[str, ...] = ()
    allowed_ports: tuple[int, ...] = (80, 443)
    allow_private_addresses: bool = False
    allowed_buckets: tuple[str, ...] = ()
    file_roots: tuple[Path, ...] = ()
