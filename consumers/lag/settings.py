"""Settings of the lag reader."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from sightstream.consumers.http_settings import HttpSettings


class LagSettings(HttpSettings):
    """Settings of `sightstream lag`: the groups that are watched, and how often they are read."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_LAG_", frozen=True, extra="forbid")

    group_ids: tuple[str, ...] = Field(
        default=(),
        description="Consumer groups that are watched beside those of [worker], [store] and [lookup], on every topic "
        "that they have committed offsets for; none by default. A name with * or ? stands for all groups that it "
        'matches, so ["*"] watches the whole cluster.',
    )
    interval_s: float = Field(
        default=10,
        ge=1,
        le=3600,
        description="Seconds between two readings of `lag --serve`; raise it to ask the broker less often.",
    )
    window_s: float = Field(
        default=120,
        ge=2,
        le=86_400,
        description="Seconds over which rates and the fall of the lag are measured; raise it for steadier rates, lower "
        "it for some that follow changes sooner.",
    )
    read_timeout_s: float = Field(
        default=10,
        gt=0,
        le=300,
        description="Seconds that the broker has to answer a request, and that one reading may read records; raise it "
        "when a slow broker makes readings fail.",
    )
    read_records: int = Field(
        default=10_000,
        ge=0,
        le=10_000_000,
        description="Records that one reading may read. Up to this many, unfinished records are counted one by one, in "
        "the partitions with the fewest first; beyond it their number is estimated from samples and marked as an "
        "estimate. Raise it for exact numbers of long queues, lower it to use less of a processor.",
    )
    read_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=64 * 1024,
        description="Bytes of records that one reading may read before it estimates; raise it where records are large.",
    )
    gpu_s_per_image: float | None = Field(
        default=None,
        gt=0,
        description="GPU-seconds of one image, from which those of the whole lag follow; unset: the members of the "
        "workers' group, each with one GPU, divided by the records that they finish in a second while they are busy.",
    )
    cluster_name: str = Field(
        default="kafka",
        description="Label cluster_name on the lag metrics; set it when Prometheus watches several clusters.",
    )
    metrics_port: int = Field(
        default=9308,
        ge=0,
        le=65535,
        description="Port on which `lag --serve` shows /metrics, /healthz and /readyz (9308 is kafka_exporter's); 0 "
        "serves none.",
    )
