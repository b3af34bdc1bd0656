"""Settings of the lag reader."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LagSettings(BaseSettings):
    """Settings of `sightstream lag`: the groups that are watched, and how often they are read."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_LAG_", frozen=True, extra="forbid")

    worker_group_id: str = Field(
        default="sightstream-workers",
        min_length=1,
        max_length=249,
        description="Consumer group of the workers; set it to the group_id of [worker] when you change that one.",
    )
    store_group_id: str = Field(
        default="sightstream-store",
        min_length=1,
        max_length=249,
        description="Consumer group of the store; set it to the group_id of [store] when you change that one.",
    )
    lookup_group_id: str = Field(
        default="sightstream-lookup",
        min_length=1,
        max_length=249,
        description="Consumer group of the lookup; set it to the group_id of [lookup] when you change that one.",
    )
    group_ids: tuple[str, ...] = Field(
        default=(),
        description="Consumer groups that are watched beside the three above, on every topic that they have committed "
        "offsets for; none by default, add your own readers here.",
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
        description="Seconds over which the fall of the lag is measured to estimate when the queue is empty; raise it "
        "for a steadier estimate, lower it for one that follows changes sooner.",
    )
    read_timeout_s: float = Field(
        default=10,
        gt=0,
        le=300,
        description="Seconds that the broker has to answer a request, and that reading the records of one group may "
        "last; raise it when a slow broker makes readings fail.",
    )
    count_within: int = Field(
        default=500,
        ge=0,
        le=100_000,
        description="Where at most this many offsets are left in a partition, its records are read and counted one by "
        "one; beyond that the offsets are counted, transaction markers included. Lower it to read less.",
    )
    cluster_name: str = Field(
        default="kafka",
        description="Label cluster_name on the lag metrics; set it when Prometheus watches several clusters.",
    )
    metrics_port: int = Field(
        default=9308,
        ge=0,
        le=65535,
        description="Loopback port on which `lag --serve` shows /metrics (9308 is kafka_exporter's); 0 serves none.",
    )
