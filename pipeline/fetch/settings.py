"""What may be fetched from where, and the caps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightstream.pipeline.fetch.host_name import canonical_pattern

HostPattern = Annotated[str, AfterValidator(canonical_pattern)]


class FetchSettings(BaseSettings):
    """In production, list the hosts and buckets that images come from and set `only_listed`.

    `allowed_hosts` takes names and `*.example.com` (any name below, not example.com itself). An empty list of hosts or
    buckets allows any public host or any bucket, unless `only_listed`: then it allows none. A listed host is a
    dependency, whose outage requests wait out. `file_roots`: folders that file:// may read; none by default.
    `allow_private_addresses`, `allowed_ports` and `allow_downgrade` (a redirect from https to http) open what is shut
    against server-side request forgery.

    One fetch, its waiting and its retries included, ends within `total_timeout_s`. Of transient failures `max_retries`
    are tried again within the fetch, after a random pause below `backoff_s`, doubled each time up to `max_backoff_s`;
    a server that asks to wait `max_retry_after_s` at most is obeyed. After `down_after_failures` in a row at one
    store or host nothing is tried again within a fetch until one succeeds.

    At most so many fetches run at once: `s3_concurrency` from the store, `listed_concurrency` from a listed host,
    `host_concurrency` from any other. Each of these limits starts at `start_concurrency`, rises by one as a whole
    limit's worth of fetches succeed, and is multiplied by `slow_down_factor` when the server says that it is too much,
    or is too slow. Fetches that fail together count as one failure.

    `max_idle_connections` are kept for reuse, each for `idle_connection_s` unused and `connection_age_s` in all. A
    host's addresses, judged, are remembered for `dns_cache_s`.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_FETCH_", frozen=True, extra="forbid")

    max_bytes: int = Field(default=32 * 1024**2, ge=1)
    connect_timeout_s: float = Field(default=5, gt=0)
    total_timeout_s: float = Field(default=30, gt=0)
    max_redirects: int = Field(default=3, ge=0, le=10)
    allow_downgrade: bool = False
    allowed_hosts: tuple[HostPattern, ...] = ()
    allowed_ports: tuple[int, ...] = (80, 443)
    allow_private_addresses: bool = False
    allowed_buckets: tuple[str, ...] = ()
    only_listed: bool = False
    file_roots: tuple[Path, ...] = ()

    max_retries: int = Field(default=2, ge=0, le=10)
    backoff_s: float = Field(default=0.1, ge=0)
    max_backoff_s: float = Field(default=2, ge=0)
    max_retry_after_s: float = Field(default=5, ge=0)
    down_after_failures: int = Field(default=5, ge=1)

    s3_concurrency: int = Field(default=64, ge=1, le=1024)
    listed_concurrency: int = Field(default=32, ge=1, le=1024)
    host_concurrency: int = Field(default=8, ge=1, le=1024)
    start_concurrency: int = Field(default=16, ge=1, le=1024)
    slow_down_factor: float = Field(default=0.7, gt=0, lt=1)

    max_idle_connections: int = Field(default=64, ge=0, le=1024)
    idle_connection_s: float = Field(default=15, gt=0)
    connection_age_s: float = Field(default=300, gt=0)
    dns_cache_s: float = Field(default=5, ge=0)
