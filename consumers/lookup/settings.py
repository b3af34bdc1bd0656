"""Settings of the lookup."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sightstream.consumers.http_security import Access
from sightstream.consumers.http_settings import HttpSettings


class LookupSettings(HttpSettings):
    """Settings of `sightstream lookup`: the folder of the table, and the port that it answers on."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_LOOKUP_", frozen=True, extra="forbid")

    group_id: str = Field(
        default="sightstream-lookup",
        pattern=r"^[A-Za-z0-9._-]{1,150}$",
        description="Consumer group, and the first part of the changelog topic's name; lookups with the same group "
        "divide the partitions. Another name builds a new table.",
    )
    data_dir: Path = Field(
        default=Path(".sightstream/lookup"),
        description="Folder of the table, for one process alone; it can be lost, the table is then rebuilt from Kafka. "
        "Set it to a disk that outlives restarts, so that a start is quick.",
    )
    port: int = Field(
        default=6066,
        ge=0,
        le=65535,
        description="Port that answers HTTP; 0 picks a free one and writes it to the file `address` in "
        "data_dir. Change it when the port is in use.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names, beside localhost and loopback addresses, that the Host of a request may have; set it to "
        "the name by which a reverse proxy is asked, if it hands that on. /healthz, /readyz and /metrics take any, and "
        "so does every request with the bearer_token.",
    )
    block_cache_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=64 * 1024,
        description="Bytes of memory per partition that cache blocks of the table (8 MiB); raise it when lookups wait "
        "for the disk.",
    )
    write_buffer_bytes: int = Field(
        default=4 * 1024 * 1024,
        ge=64 * 1024,
        description="Bytes of memory per partition that collect writes before they go to disk (4 MiB); raise it when "
        "results come faster than the disk writes them.",
    )
    commit_interval_s: float = Field(
        default=1,
        ge=0.1,
        le=60,
        description="Seconds between two commits of the read position; a restart reads at most that much again. Raise "
        "it to spare the broker.",
    )
    session_timeout_s: float = Field(
        default=30,
        ge=6,
        le=300,
        description="Seconds without a heartbeat after which Kafka gives the partitions of a dead lookup to another; "
        "lower it for a faster takeover.",
    )
    stuck_after_s: float = Field(
        default=180,
        ge=10,
        le=3600,
        description="Seconds after which a table that has not recovered ends the process with exit code 1, so that a "
        "supervisor restarts it; raise it when a normal rebuild needs longer.",
    )

    @property
    def access(self) -> Access:
        """Where the server listens, and whom it answers."""
        return Access(self.bind, self.bearer_token, self.allowed_hosts)
