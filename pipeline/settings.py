"""Settings of the flow."""

from __future__ import annotations

import math

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class FlowSettings(BaseSettings):
    """Limits how many requests and bytes the flow holds at once."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_FLOW_", frozen=True, extra="forbid")

    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="The most questions in flight, without those of requests that wait for a slow store or host; the "
        "last request that starts may exceed it. Unset by default: twice as many as the engine works on at once, plus "
        "`prepare_threads`. Set it to bound how much work a worker holds when it stops.",
    )
    max_bytes: int = Field(
        default=3 * 1024**3,
        ge=1024**2,
        description="The most bytes of images and pixels held at once, as a soft limit; 3 GiB by default, enough for "
        "400 concurrent answers about images of four tiles. Lower it on a machine with little memory.",
    )
    prepare_threads: int = Field(
        default=16,
        ge=1,
        le=256,
        description="How many threads fetch and decode images of one store or host at most; a third more are kept for "
        "all others. Raise it when the engine waits for slow image hosts.",
    )

    @property
    def all_prepare_threads(self) -> int:
        """The threads for one store or host, and the reserve for the others: a quarter of all."""
        return self.prepare_threads + math.ceil(self.prepare_threads / 3)

    @property
    def max_threads_for_one(self) -> int:
        """The threads for one store or host, which must not hold all of `max_in_flight` either."""
        in_flight = self.max_in_flight or self.all_prepare_threads
        return max(1, min(self.prepare_threads, in_flight - in_flight // 4))
