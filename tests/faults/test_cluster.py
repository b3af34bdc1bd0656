"""Three brokers, two workers, answers out of order: one run with the faults that the single-broker tests can't have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker, Topic
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.store.run import topic_ids
from tests.faults.cluster import Cluster
from tests.faults.fault_run import FaultRun
from tests.faults.faults import kill_group_coordinator, kill_transaction_coordinator, kill_worker
from tests.faults.harness import wait_for

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> Iterator[FaultRun]:
    run = FaultRun(cluster, tmp_path / "run", Random(1), uses_s3=True)
    yield run
    run.stop()


def test_topics_are_described_though_the_broker_that_the_client_asks_has_died(cluster: Cluster) -> None:
    """The client sends such a request to the controller that it knows, and would wait for it for minutes."""
    topics = cluster.create_topics(partitions=1)
    admin = AdminClient(cluster.kafka_settings.client_config() | {"log_level": 0})
    broker = Broker(admin, timeout_s=3)
    node = admin.list_topics(timeout=30).controller_id
    before = broker.topics([topics.requests])
    cluster.brokers[node].kill()
    try:
        wait_for(lambda: answer(broker, topics.requests) == before, "the topic, from another broker", 20)
        assert topic_ids(admin, [topics.requests]).keys() == before.keys()
    finally:
        cluster.brokers[node].restart()
        cluster.wait_until_whole([topics.requests])


def answer(broker: Broker, topic: str) -> dict[str, Topic]:
    """Ask as callers do, who ask again; until Kafka knows that the broker is dead, it may be named again."""
    with suppress(KafkaReadError):
        return broker.topics([topic])
    return {}


def test_coordinators_and_a_worker_die_and_every_invariant_holds(run: FaultRun) -> None:
    run.publish(1000)
    run.start_store()
    for _ in range(2):
        run.start_worker()
    run.harness.wait_until_seen(30)
    for inject in (kill_worker, kill_group_coordinator, kill_transaction_coordinator):
        inject(run)
    history = run.finish()
    assert run.broken(history) == []
