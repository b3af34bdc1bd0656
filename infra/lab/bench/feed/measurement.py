"""Reads committed results as they appear, and records what the system under test has used at both ends of the count."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.feed.job import Job
from sightstream.infra.lab.bench.feed.options import FeedOptions
from sightstream.infra.lab.bench.feed.process_tree import Usage
from sightstream.schemas.connections.client_log import client_logger

if TYPE_CHECKING:
    from confluent_kafka import Consumer

POLL_S = 0.1
BATCH_RECORDS = 500


@dataclass(frozen=True, slots=True)
class Snapshot:
    """At `at_s`, `answered` requests had a visible result."""

    at_s: float
    answered: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one system; the time from `warm` to `end` counts.

    `duplicates` counts results for requests that already had one. `stages` holds mean seconds by stage where the
    results carry them.
    """

    warm: Snapshot
    end: Snapshot
    duplicates: int
    stages: dict[str, float]

    @property
    def images_per_s(self) -> float:
        return self._images / (self.end.at_s - self.warm.at_s)

    @property
    def cpu_s_per_image(self) -> float:
        return (self.end.usage.cpu_s - self.warm.usage.cpu_s) / self._images

    @property
    def moved_bytes_per_image(self) -> float:
        return (self.end.usage.moved_bytes - self.warm.usage.moved_bytes) / self._images

    @property
    def _images(self) -> int:
        return self.end.answered - self.warm.answered


def measure(job: Job, options: FeedOptions, usage_so_far: Callable[[], Usage], is_alive: Callable[[], bool]) -> Run:
    """Block until every request is answered. Raises CommandError when that takes too long or the system has died."""
    seen: set[str] = set()
    duplicates, warm, stages = 0, None, _Stages()
    deadline = time.monotonic() + options.timeout_s
    consumer = _consumer(job)
    try:
        while len(seen) < options.images:
            if time.monotonic() > deadline or not is_alive():
                raise CommandError(f"{len(seen)} of {options.images} results; the system died or was too slow")
            for message in consumer.consume(BATCH_RECORDS, POLL_S):
                if (value := message.value()) is None:
                    continue
                result = json.loads(value)
                duplicates += result["request_id"] in seen
                seen.add(result["request_id"])
                stages.add(result)
            if warm is None and len(seen) >= options.warm_fraction * options.images:
                warm = Snapshot(time.monotonic(), len(seen), usage_so_far())
        if warm is None or warm.answered == len(seen):
            raise CommandError("all results came at once, which gives no rate: ask for more --images")
        return Run(warm, Snapshot(time.monotonic(), len(seen), usage_so_far()), duplicates, stages.means())
    finally:
        consumer.close()


class _Stages:
    """Collects the seconds by stage that results carry."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def add(self, result: dict[str, Any]) -> None:
        for stage, seconds in result.get("seconds", {}).items():
            self._seconds.setdefault(stage, []).append(seconds)

    def means(self) -> dict[str, float]:
        return {stage: fmean(seconds) for stage, seconds in self._seconds.items()}


def _consumer(job: Job) -> Consumer:
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap_servers,
            "group.id": f"{job.group_id}.watch",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        },
        logger=client_logger(__name__),
    )
    consumer.subscribe([job.results])
    return consumer
