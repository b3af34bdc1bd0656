"""Reads committed results as they appear, and looks at what the contestant has used when it counts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.feed.job import Job
from sightstream.infra.lab.bench.feed.options import FeedOptions
from sightstream.infra.lab.bench.feed.process_tree import Usage

POLL_S = 0.1
BATCH = 500


@dataclass(frozen=True, slots=True)
class Moment:
    """`answered` requests had a visible result at `at_s`."""

    at_s: float
    answered: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Run:
    """From `warm` to `end` is what counts. `doubles`: results for a request that already had one.

    `stages` are mean seconds by stage, where results tell them.
    """

    warm: Moment
    end: Moment
    doubles: int
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


def watch(job: Job, options: FeedOptions, used: Callable[[], Usage], alive: Callable[[], bool]) -> Run:
    """Blocks until every request is answered. Raises CommandError when that takes too long or the contestant died."""
    seen: set[str] = set()
    doubles, warm, stages = 0, None, _Stages()
    deadline = time.monotonic() + options.timeout_s
    consumer = _consumer(job)
    try:
        while len(seen) < options.images:
            if time.monotonic() > deadline or not alive():
                raise CommandError(f"{len(seen)} of {options.images} results; it died, or was too slow")
            for message in consumer.consume(BATCH, POLL_S):
                result = json.loads(message.value())
                doubles += result["request_id"] in seen
                seen.add(result["request_id"])
                stages.add(result)
            if warm is None and len(seen) >= options.warm_share * options.images:
                warm = Moment(time.monotonic(), len(seen), used())
        if warm is None or warm.answered == len(seen):
            raise CommandError("all results came at once, which tells no rate: ask for more --images")
        return Run(warm, Moment(time.monotonic(), len(seen), used()), doubles, stages.means())
    finally:
        consumer.close()


class _Stages:
    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def add(self, result: dict[str, Any]) -> None:
        for stage, seconds in result.get("seconds", {}).items():
            self._seconds.setdefault(stage, []).append(seconds)

    def means(self) -> dict[str, float]:
        return {stage: fmean(seconds) for stage, seconds in self._seconds.items()}


def _consumer(job: Job) -> Any:
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap_servers,
            "group.id": f"{job.group}.watch",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([job.results])
    return consumer
