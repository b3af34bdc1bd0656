"""5,000 dead letters, two overlapping filters, two commands at once, 20 kills: each redriven once, none left over."""

from __future__ import annotations

import logging
import random
import signal
import subprocess
import time
from collections import Counter

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.redrive import History
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.redrive.backends import FaultyProducer, RealCluster
from tests.consumers.redrive.killed_run import ROOT, KilledRun
from tests.consumers.redrive.test_real_redrive import fill

pytestmark = pytest.mark.soak
log = logging.getLogger(__name__)

LETTERS = 5_000
KILLS = 20
BATCH_RECORDS = 50
LIMIT = 300  # for each run but the last, so that there is always something left at a kill
FILTERS = (["image_not_found", "retries_exhausted"], ["retries_exhausted", "malformed"])


class Storm:
    """Starts two runs at a time and kills them: at a named point of a transaction, or from outside at any time."""

    def __init__(self, cluster: RealCluster, seed: int) -> None:
        self.cluster, self.random = cluster, random.Random(seed)
        self.kills: Counter[str] = Counter()

    def start(self, reasons: list[str], point: str | None = None, limit: int | None = None) -> subprocess.Popen[bytes]:
        names = self.cluster.names.model_dump()
        nth = 1 if point == "opened" else self.random.randint(1, LIMIT // BATCH_RECORDS)
        servers = self.cluster.kafka.bootstrap_servers
        run = KilledRun(servers, names, reasons, BATCH_RECORDS, point, nth, limit)
        return subprocess.Popen(run.command(), cwd=ROOT, stderr=subprocess.DEVNULL)

    def two_at_once(self) -> None:
        points = [self.random.choice([*FaultyProducer.POINTS, None]) for _ in FILTERS]
        runs = [self.start(reasons, point, LIMIT) for reasons, point in zip(FILTERS, points, strict=True)]
        if None in points:
            time.sleep(self.random.uniform(1.0, 3.0))
            runs[points.index(None)].kill()
        for run, point in zip(runs, points, strict=True):
            run.wait(120)
            if run.returncode == -signal.SIGKILL:
                self.kills[point or "outside"] += 1


def published(cluster: RealCluster) -> Counter[str]:
    histories = [History.from_headers(record.headers or []) for record in cluster.requests]
    return Counter(str(history.letter) for history in histories if history)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_letter_is_redriven_once_whatever_is_killed(
    runtime: LocalRuntime, topics: TopicSettings, seed: int
) -> None:
    cluster = RealCluster(runtime.kafka_settings, topics)
    for _ in range(LETTERS // 500):
        fill(cluster, 500)
    storm = Storm(cluster, seed)
    while storm.kills.total() < KILLS:
        storm.two_at_once()
        found = published(cluster)
        assert set(found.values()) <= {1}
        assert set(found) == {(record.key or b"").decode() for record in cluster.markers}
        assert len(found) < LETTERS, f"nothing was left to redrive after {storm.kills}: it proves nothing"
    left = LETTERS - len(published(cluster))
    assert storm.start([]).wait(120) == 0
    assert len(cluster.requests) == len(published(cluster)) == LETTERS
    log.info("seed %d: killed at %s; %d letters left for the last run", seed, dict(storm.kills), left)
