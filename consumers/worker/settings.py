"""How a worker takes part in the group, commits, retries and leaves."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightstream.consumers.worker.ledger import NOTE_LIMIT


class WorkerSettings(BaseSettings):
    """`name` must be unique among live workers and stable over restarts (a pod's or a GPU's name): it fences a dead
    predecessor's transaction at once. Without it, the first free slot of this machine is taken.

    `max_unpublished` bounds what is taken and not yet committed, requests that wait for an outage to end included.
    A request to a foreign host is given up after `max_attempts`; one to a dependency (the object store, a host of
    `allowed_hosts`) after `patience_s`, and after `outage_patience_s` where the dependency is down. It is held to be
    down after `outage_failures` failures without a success between: it is then tried every `probe_interval_s`, and
    once a quarter of `max_unpublished` waits, next to nothing new is taken.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_WORKER_", frozen=True, extra="forbid")

    group_id: str = "sightstream-workers"
    name: str | None = None
    session_timeout_ms: int = Field(default=15_000, ge=1_000)
    max_poll_interval_ms: int = Field(default=120_000, ge=10_000)
    transaction_timeout_ms: int = Field(default=15_000, ge=1_000)
    commit_interval_s: float = Field(default=0.5, ge=0)
    commit_batch: int = Field(default=256, ge=1)
    note_limit: int = Field(default=NOTE_LIMIT, ge=16)
    max_unpublished: int = Field(default=1024, ge=1)
    drain_timeout_s: float = Field(default=20, ge=0)
    max_attempts: int = Field(default=6, ge=1)
    backoff_s: float = Field(default=0.5, gt=0)
    max_backoff_s: float = Field(default=30, gt=0)
    patience_s: float = Field(default=1800, ge=0)
    outage_patience_s: float = Field(default=6 * 3600, ge=0)
    outage_failures: int = Field(default=8, ge=1)
    probe_interval_s: float = Field(default=2, gt=0)
    metrics_port: int = Field(default=0, ge=0, le=65_535)
