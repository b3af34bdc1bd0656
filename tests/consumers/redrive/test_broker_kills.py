"""Brokers are killed while dead letters are redriven: each letter is published again once, and none is left over."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec

from sightstream.consumers.redrive.transaction import transactional_id
from tests.consumers.redrive.backends import RealCluster
from tests.consumers.redrive.killed_run import ROOT, SUPERSEDED, KilledRun
from tests.consumers.redrive.test_real_redrive import fill
from tests.consumers.redrive.test_redrive_soak import FILTERS, published
from tests.faults.cluster import Cluster
from tests.faults.harness import wait_for

pytestmark = [pytest.mark.real, pytest.mark.soak]

LETTERS = 2_000
KILLS = 6
LIMIT = 240
FAILED = 1
_LATEST: Callable[[], OffsetSpec] = OffsetSpec.latest  # confluent-kafka gives the method no types


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


class Killer:
    """Kills the broker that coordinates the command's transactions, or one that leads a partition it writes."""

    def __init__(self, brokers: Cluster, cluster: RealCluster) -> None:
        self.brokers, self.cluster, self.random = brokers, cluster, random.Random(1)

    def next_node(self, number: int) -> int:
        if number % 2:
            return self.brokers.leader(self.cluster.names.requests, self.random.randrange(4))
        return self.brokers.transaction_coordinator(transactional_id(self.cluster.names))

    def written(self) -> int:
        """Return the end of the topic of what was redriven, open transactions included."""
        name = self.cluster.names.redrives
        partitions = self.brokers.admin.list_topics(name, timeout=30).topics[name].partitions
        asked = {TopicPartition(name, each): _LATEST() for each in partitions}
        return sum(found.result(30).offset for found in self.brokers.admin.list_offsets(asked).values())

    def kill_one_during(self, runs: list[subprocess.Popen[bytes]], number: int) -> None:
        node, before = self.next_node(number), self.written()
        wait_for(lambda: self.written() > before + 10, "something that was redriven")
        assert any(run.poll() is None for run in runs), "nobody redrives any more: it proves nothing"
        self.brokers.brokers[node].kill()
        for run in runs:
            assert run.wait(180) in (0, FAILED, SUPERSEDED)
        self.brokers.brokers[node].restart()
        self.brokers.wait_until_whole([self.cluster.names.redrives, self.cluster.names.requests])


def start(cluster: RealCluster, reasons: list[str], limit: int | None = None) -> subprocess.Popen[bytes]:
    servers = cluster.kafka.bootstrap_servers
    run = KilledRun(servers, cluster.names.model_dump(), reasons, batch_records=5, limit=limit)
    return subprocess.Popen(run.command(), cwd=ROOT)


@pytest.mark.timeout(900)
def test_each_letter_is_redriven_once_whatever_broker_is_killed(brokers: Cluster) -> None:
    cluster = RealCluster(brokers.kafka_settings, brokers.create_topics(partitions=4))
    for _ in range(LETTERS // 500):
        fill(cluster, 500)
    killer = Killer(brokers, cluster)
    for number in range(KILLS):
        killer.kill_one_during([start(cluster, reasons, LIMIT) for reasons in FILTERS], number)
        assert set(published(cluster).values()) <= {1}
    assert len(published(cluster)) < LETTERS, "nothing was left for the last run"
    assert start(cluster, []).wait(180) == 0
    assert published(cluster) == Counter({(record.key or b"").decode(): 1 for record in cluster.markers})
    assert len(cluster.markers) == len(cluster.requests) == LETTERS
