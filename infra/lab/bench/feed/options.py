"""The options of a comparison: what is measured, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """Each system gets `images` requests for `distinct` JPEGs of `side_px` x `side_px` pixels, over `partitions`.

    A rate counts from the moment at which `warm_fraction` of the requests are answered to the end. A system that does
    not finish within `timeout_s` has failed. `rounds` repeats everything, one system after the other in each round.
    """

    images: int = 2000
    distinct: int = 200
    side_px: int = 1000
    partitions: int = 8
    warm_fraction: float = 0.2
    timeout_s: float = 180
    rounds: int = 1
