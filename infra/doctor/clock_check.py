"""Our clock beside the broker's: deadlines, ages of requests and signed addresses are compared across machines."""

from __future__ import annotations

import time
from collections.abc import Callable

from sightstream.infra.doctor.kafka_requests import NoAnswer, Quorum, Requests, ask
from sightstream.infra.doctor.types import Fact, Finding, Items, Unchecked
from sightstream.schemas.connections.kafka import KafkaSettings

MAX_SKEW_S = 5.0

WallClock = Callable[[], float]


def check_clock(kafka: KafkaSettings, clock: WallClock = time.time) -> Items:
    """Ask the controller for its time. Blocks."""

    async def read(requests: Requests) -> tuple[float, Quorum, float]:
        before = clock()
        return before, await requests.quorum(), clock()

    try:
        before, quorum, after = ask(kafka, read)
    except NoAnswer as error:
        yield Unchecked(f"the broker's clock: {error}")
        return
    if quorum.clock_s is None:
        yield Unchecked("the broker's clock: to read it, this user needs Describe on the cluster")
        return
    yield from skew("Kafka's controller", before, quorum.clock_s, after)


def skew(where: str, before_s: float, theirs_s: float, after_s: float) -> Items:
    """Compare a clock that was read between `before_s` and `after_s` of ours."""
    behind = max(before_s - theirs_s, theirs_s - after_s, 0.0)
    yield Fact(f"clock of {where}", f"{theirs_s - (before_s + after_s) / 2:+.1f} s from ours")
    if behind > MAX_SKEW_S:
        yield Finding(
            "clock-skew",
            f"the clock of {where} differs from ours by {behind:.0f} s or more; let one time server (NTP) set both",
        )
