"""What is measured, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """Each contestant gets `images` requests for `distinct` JPEGs of `side` x `side` pixels, over `partitions`.

    Rates are taken from the moment that `warm_share` of them are answered to the end. One that is not through within
    `timeout_s` has failed. `rounds` repeats all, one contestant after the other each time.
    """

    images: int = 2000
    distinct: int = 200
    side: int = 1000
    partitions: int = 8
    warm_share: float = 0.2
    timeout_s: float = 180
    rounds: int = 1
