"""A run of the redrive in a process of its own, which ends itself with SIGKILL at a named point of a transaction."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from sightstream.consumers.redrive import redrive_pass
from sightstream.consumers.redrive.errors import Superseded
from sightstream.consumers.redrive.filters import Filter
from sightstream.consumers.redrive.job import RedriveJob
from sightstream.consumers.redrive.kafka_topics import KafkaTopics
from sightstream.consumers.redrive.pace import Pace
from sightstream.consumers.redrive.redrive_pass import Plan
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.redrive.backends import FaultyProducer
from tests.consumers.redrive.samples import Listener

ROOT = Path(__file__).parents[3]
SUPERSEDED = 3


@dataclass(frozen=True)
class KilledRun:
    """What the process does: it dies at the `nth` time that it reaches `point`, or not at all."""

    bootstrap_servers: str
    topics: dict[str, object]
    reasons: list[str]
    batch_records: int
    point: str | None = None
    nth: int = 1
    limit: int | None = None

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.consumers.redrive.killed_run", json.dumps(asdict(self))]


def main(given: KilledRun) -> int:
    redrive_pass.BATCH_RECORDS = given.batch_records
    seen: Counter[str] = Counter()

    def on(point: str) -> None:
        seen[point] += 1
        if (point, seen[point]) == (given.point, given.nth):
            os.kill(os.getpid(), signal.SIGKILL)

    names = TopicSettings.model_validate(given.topics)
    kafka = KafkaSettings(bootstrap_servers=given.bootstrap_servers)
    topics = KafkaTopics(kafka, names, lambda config: FaultyProducer(config, on))
    try:
        RedriveJob(topics, names, Plan(Filter(frozenset(given.reasons)), limit=given.limit), Pace(None)).run(Listener())
    except Superseded:
        return SUPERSEDED
    return 0


if __name__ == "__main__":
    sys.exit(main(KilledRun(**json.loads(sys.argv[1]))))
