"""Settings of a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from sightstream.consumers.http_settings import HttpSettings
from sightstream.consumers.worker.ledger import METADATA_LIMIT_BYTES

# How long a new owner waits for the transaction of a worker that was killed inside it.
COMMITTED_TIMEOUT_S = 90.0


class WorkerSettings(HttpSettings):
    """Settings of a worker: how it takes part in its group, commits, retries and stops."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_WORKER_", frozen=True, extra="forbid")

    group_id: str = Field(
        default="sightstream-workers",
        description="Consumer group of the workers; workers with the same group divide the partitions. Another name "
        "starts from the oldest request.",
    )
    name: str | None = Field(
        default=None,
        description="Name that is unique among live workers and stable over restarts, such as a pod's or a GPU's: it "
        "ends a dead predecessor's transaction at once. Unset, it is this host's name with the first free instance "
        "number. Set it where the host's name changes at a restart.",
    )
    state_dir: Path | None = Field(
        default=None,
        description="Folder in which a worker keeps, in a folder of this user, its name and the requests that it has "
        "begun: after it was killed, its next process reads there which images may have killed it. Unset, it is the "
        "system's folder for temporary files, which a container loses at a restart: mount a volume there (emptyDir is "
        "enough) and name it here.",
    )
    session_timeout_s: float = Field(
        default=15,
        ge=1,
        allow_inf_nan=False,
        description="Seconds without a heartbeat after which Kafka gives a dead worker's partitions to others; lower "
        "it for a faster takeover, raise it on a slow network.",
    )
    max_poll_interval_s: float = Field(
        default=120,
        ge=10,
        allow_inf_nan=False,
        description="Seconds without a poll after which a worker counts as hung and loses its partitions; raise it on "
        "machines that freeze for long.",
    )
    transaction_timeout_s: float = Field(
        default=15,
        ge=1,
        allow_inf_nan=False,
        description="Seconds after which Kafka aborts a transaction that a dead worker left open; readers, and the "
        "next owner of its partitions, wait that long for it. Raise it when commits fail on a slow link.",
    )
    commit_interval_s: float = Field(
        default=0.5,
        ge=0,
        allow_inf_nan=False,
        description="Most seconds between two commits under load; a result waits up to that long before readers see "
        "it. With nothing else in progress it is committed at once. Raise it for fewer transactions.",
    )
    commit_batch_records: int = Field(
        default=256,
        ge=1,
        description="Most records per transaction; after a full one the next follows at once. Raise it when commits "
        "limit the throughput.",
    )
    offset_metadata_limit_bytes: int = Field(
        default=METADATA_LIMIT_BYTES,
        ge=16,
        le=4000,
        description="Most bytes of metadata that are committed beside an offset: the offsets that finished out of "
        "order. Keep it below the broker's offset.metadata.max.bytes (4,096 by default).",
    )
    max_unpublished: int = Field(
        default=1024,
        ge=1,
        description="Most requests that are consumed and not yet committed. Up to half of them may wait for one "
        "dependency that is down, and three quarters for all such. Raise it for large engines, or so that other "
        "requests flow longer during an outage; lower it to save memory.",
    )
    drain_timeout_s: float = Field(
        default=20,
        ge=0,
        allow_inf_nan=False,
        description="Seconds that a stopping worker gives to the requests in flight before it hands them back; keep it "
        "below the grace period of your supervisor.",
    )
    max_attempts: int = Field(
        default=6,
        ge=1,
        description="Attempts for an image on a foreign host, or for one that alone is refused at a dependency, before "
        "the request becomes a dead letter; raise it when your publishers' hosts fail for long.",
    )
    backoff_s: float = Field(
        default=0.5,
        gt=0,
        description="Seconds before the second attempt; each further one waits twice as long. Raise it to spare hosts.",
    )
    max_backoff_s: float = Field(
        default=30,
        gt=0,
        description="Most seconds between two attempts; lower it so that requests go on sooner after a failure.",
    )
    retry_timeout_s: float = Field(
        default=1800,
        ge=0,
        description="Seconds for which a request is retried while its dependency (a bucket, a host of "
        "allowed_hosts, a model server) is up, half an hour by default; then it becomes a dead letter.",
    )
    outage_retry_timeout_s: float = Field(
        default=6 * 3600,
        ge=0,
        description="Seconds for which a request is retried while its dependency is down, six hours by default; then "
        "it becomes a dead letter. Raise it to survive longer outages.",
    )
    breaker_failures: int = Field(
        default=8,
        ge=1,
        description="Failures without a success between them after which a dependency counts as down; raise it when "
        "single broken images look like an outage.",
    )
    breaker_probe_s: float = Field(
        default=2,
        gt=0,
        description="Seconds between two probes of a dependency that is down; its other requests wait meanwhile. Raise "
        "it to spare the dependency.",
    )
    gpu_price_per_hour: float = Field(
        default=0,
        ge=0,
        allow_inf_nan=False,
        description="Price of an hour of this worker's GPU, in whatever currency: the metric of cost counts it up "
        "while the worker runs. 0 counts none.",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        description="Port that serves /metrics, /healthz, /readyz and /status; 0 serves none.",
    )

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        """Refuse times that contradict each other, and say which to change."""
        for lower, higher, why in _RELATIONS:
            low, high = getattr(self, lower), getattr(self, higher)
            if low > high:
                raise ValueError(f"{lower} ({low:g}) must not exceed {higher} ({high:g}): {why}; lower the first one")
        if self.transaction_timeout_s > COMMITTED_TIMEOUT_S:
            raise ValueError(
                f"transaction_timeout_s ({self.transaction_timeout_s:g}) must not exceed {COMMITTED_TIMEOUT_S:g}: the "
                f"next owner of a dead worker's partitions waits no longer for its open transaction; lower it"
            )
        return self


_RELATIONS = (
    ("session_timeout_s", "max_poll_interval_s", "a worker that hangs must lose its partitions as a dead one does"),
    ("transaction_timeout_s", "max_poll_interval_s", "a slow commit would cost the worker its partitions"),
    ("backoff_s", "max_backoff_s", "the first pause would be longer than the longest"),
    ("retry_timeout_s", "outage_retry_timeout_s", "a request would be given up sooner because of an outage"),
)
