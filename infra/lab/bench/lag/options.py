"""The options of the measurement."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LagOptions:
    """At `points` moments publisher and workers are held, and lag is compared with the topics themselves.

    `earlier` results, more than a reading may count, stand on their topic before. Then an exporter of
    `scraped_partitions` is scraped `scrapes` times, every `scrape_s`; at last `many` partitions are read. None of a
    part leaves it out.
    """

    points: int = 50
    partitions: int = 8
    workers: int = 2
    earlier: int = 60_000
    scrapes: int = 8
    scrape_s: float = 15
    scraped_partitions: int = 102  # of three topics
    many: int = 10_000
    seed: int = 0
    timeout_s: float = 180
