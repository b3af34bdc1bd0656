"""The options of the measurement, and the names of its cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ALONE, TROUBLED, OUTAGE, MISSPELT, FAR = "alone", "slow and down", "outage", "misspelt", "far store"


@dataclass(frozen=True, slots=True)
class NeighboursOptions:
    """Each case has `images` honest requests for images in S3.

    `slow and down` publishes them at `paced_per_s`, with as many requests for a slow host and for one that is down as
    `troubled_fraction` of them; it is compared with the honest ones alone at the same rate. `misspelt` adds `misspelt`
    requests for a bucket that does not exist, at that rate and as a backlog. The others are backlogs: `outage` adds the
    same fraction for a host that is down; `far store` reads through a proxy that adds `delay_s`. With `baseline`,
    another checkout's worker runs the far store, too.
    """

    images: int = 1000
    paced_per_s: float = 25
    troubled_fraction: float = 0.05
    misspelt: int = 10_000
    delay_s: float = 0.05
    rounds: int = 1
    timeout_s: float = 300
    partitions: int = 4
    baseline: Path | None = None


# What the attackers publish for, and how many of each are in flight at any time.
ATTACKS = {"slow": 16, "framing": 8, "bomb": 6}


@dataclass(frozen=True, slots=True)
class AttacksOptions:
    """Each round answers `images` honest requests, at most `in_flight` at a time, alone and beside the `attacks`.

    An attack that has ended, in a result or a dead letter, is renewed at once.
    """

    images: int = 2000
    in_flight: int = 64
    rounds: int = 3
    timeout_s: float = 600
    partitions: int = 4
    attacks: dict[str, int] = field(default_factory=ATTACKS.copy)
