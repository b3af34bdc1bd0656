"""Settings of the fetch stage: allowed origins, limits and timeouts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightstream.pipeline.fetch.http.url import canonical_pattern

_NO_IMAGES = tuple(Path(name) for name in ("/proc", "/sys", "/dev"))


def check_file_root(root: Path) -> Path:
    """Return `root`. Raises ValueError for one that holds the system's own files rather than images."""
    for path in (Path(os.path.abspath(root)), Path(os.path.realpath(root))):
        if path.parent == path or any(path.is_relative_to(folder) for folder in _NO_IMAGES):
            raise ValueError("a folder holds the system's own files: name the one that the images lie in")
    return root


HostPattern = Annotated[str, AfterValidator(canonical_pattern)]
FileRoot = Annotated[Path, AfterValidator(check_file_root)]


class FetchSettings(BaseSettings):
    """Limits what may be fetched. In production, list hosts and buckets and set `only_listed`."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_FETCH_", frozen=True, extra="forbid")

    max_bytes: int = Field(
        32 * 1024**2,
        ge=1,
        description="Largest image file in bytes (default 32 MiB); a larger one is rejected. Raise it if your images "
        "are larger; each fetch in flight can hold this much memory.",
    )
    connect_timeout_s: float = Field(
        5,
        gt=0,
        description="Seconds to wait for a TCP connection, and again for its TLS handshake. Raise it for stores that "
        "are far away.",
    )
    total_timeout_s: float = Field(
        30,
        gt=0,
        description="Seconds for one fetch in all, its retries included; waiting for its turn is not. S3 requests can "
        "end a quarter of it late. Raise it for large images over slow links.",
    )
    max_redirects: int = Field(
        3, ge=0, le=10, description="Most redirects that one fetch follows over HTTP; 0 refuses every redirect."
    )
    allow_downgrade: bool = Field(
        False,
        description="Whether a redirect may lead from https to http. Off by default, because the image would travel "
        "in plain text; set it only for a host that you know and that needs it.",
    )
    allowed_hosts: tuple[HostPattern, ...] = Field(
        (),
        description="Hosts that images may come from: names, or `*.example.com` for any name below example.com (not "
        "example.com itself). Empty (the default) allows any public host, unless `only_listed` is set. A listed host "
        "counts as a dependency: while it is down, its requests wait.",
    )
    allowed_ports: tuple[int, ...] = Field(
        (80, 443),
        description="Ports that http(s) URLs and redirects may name. Add one only if an image host listens there: more "
        "ports let messages reach more services.",
    )
    allow_private_addresses: bool = Field(
        False,
        description="Whether hosts may resolve to private addresses. Off by default against server-side request "
        "forgery: if set, messages can reach your internal network, so set it only together with `only_listed`.",
    )
    allowed_buckets: tuple[str, ...] = Field(
        (),
        description="S3 buckets that images may come from. Empty (the default) allows any bucket that the credentials "
        "can read, unless `only_listed` is set.",
    )
    only_listed: bool = Field(
        False,
        description="Whether only `allowed_hosts` and `allowed_buckets` may be fetched from, so that an empty list "
        "allows none. Off by default; set it in production.",
    )
    file_roots: tuple[FileRoot, ...] = Field(
        (),
        description="Folders that file:// may read from. None by default, which refuses file:// altogether. The root "
        "folder, /proc, /sys and /dev are refused.",
    )

    max_retries: int = Field(
        2,
        ge=0,
        le=10,
        description="Most retries of a transient failure within one fetch. The worker's own retries come after them. "
        "With 0 only the worker retries.",
    )
    backoff_s: float = Field(
        0.1,
        ge=0,
        description="Longest random pause in seconds before the first retry within a fetch; it doubles for each "
        "further retry, up to `max_backoff_s`.",
    )
    max_backoff_s: float = Field(2, ge=0, description="Upper bound in seconds of the doubled `backoff_s`.")
    max_retry_after_s: float = Field(
        5,
        ge=0,
        description="Longest Retry-After in seconds that a fetch waits for. When a server asks for more, the request "
        "goes back to the worker, which retries it later.",
    )
    breaker_failures: int = Field(
        5,
        ge=1,
        description="Failures in a row at one store or host after which fetches are not retried until one succeeds "
        "there. Lower it so that the worker notices an outage sooner.",
    )

    s3_concurrency: int = Field(
        64,
        ge=1,
        le=1024,
        description="Most fetches from S3 at once. The limit in force adapts below it; see `start_concurrency`.",
    )
    listed_concurrency: int = Field(
        32, ge=1, le=1024, description="Most fetches at once from one host of `allowed_hosts`."
    )
    host_concurrency: int = Field(
        8,
        ge=1,
        le=1024,
        description="Most fetches at once from one host that is not listed. Low by default, to be polite to foreign "
        "servers.",
    )
    start_concurrency: int = Field(
        16,
        ge=1,
        le=1024,
        description="Fetches at once that each store or host starts with, below its maximum. The limit rises by one "
        "after a limit's worth of successes.",
    )
    slow_down_factor: float = Field(
        0.7,
        gt=0,
        lt=1,
        description="Factor that the limit of a store or host is multiplied by when the server throttles or is too "
        "slow. Fetches that fail together lower it once.",
    )

    max_idle_connections: int = Field(
        64,
        ge=0,
        le=1024,
        description="Most idle HTTP connections that are kept for reuse, over all hosts; 0 keeps none.",
    )
    idle_connection_s: float = Field(
        15,
        gt=0,
        description="Seconds after which an unused connection is closed. Keep it below the servers' own idle timeout.",
    )
    connection_age_s: float = Field(
        300,
        gt=0,
        description="Seconds after which a connection is closed however often it was used, so that new "
        "addresses and load balancers come into use.",
    )
    dns_cache_s: float = Field(
        5,
        ge=0,
        description="Seconds that the addresses of a host, once vetted, are cached; 0 resolves the name for every "
        "request.",
    )
