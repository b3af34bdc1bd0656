"""A broker that lacks the end of a log comes to lead it, and the records that only a dead one had are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka.admin import NewTopic

from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.publishing import OutcomePublisher, Seen, read_all
from tests.consumers.store.test_real_store import row_count, rows
from tests.faults.cluster import Cluster
from tests.faults.harness import wait_for

pytestmark = [pytest.mark.real, pytest.mark.soak]

AHEAD, BEHIND = 1, 2  # the brokers that have a copy of the results; the third one keeps the quorum


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "cluster") as started:
        yield started


@pytest.fixture
def topics(cluster: Cluster) -> TopicSettings:
    """One partition each. That of the results may be led by a broker that lacks records."""
    name = uuid4().hex[:8]
    topics = TopicSettings(results=f"{name}.results", dead_letters=f"{name}.dead-letters", partitions=1)
    unclean = {"unclean.leader.election.enable": "true", "min.insync.replicas": "1"}
    created = cluster.admin.create_topics(
        [
            NewTopic(topics.results, 1, replica_assignment=[[AHEAD, BEHIND]], config=unclean),
            NewTopic(topics.dead_letters, 1, 3),
        ]
    )
    for done in created.values():
        done.result(60)
    return topics


@pytest.fixture
def store(cluster: Cluster, topics: TopicSettings, tmp_path: Path) -> Iterator[Path]:
    """A store at work; its database."""
    database = tmp_path / "results.db"
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": cluster.kafka_settings.bootstrap_servers,
        "TOPICS_REQUESTS": topics.requests,
        "TOPICS_RESULTS": topics.results,
        "TOPICS_DEAD_LETTERS": topics.dead_letters,
        "STORE_PATH": str(database),
        "STORE_GROUP_ID": f"store-of-{topics.results}",
    }
    environment = os.environ | {f"SIGHTSTREAM_{name}": value for name, value in variables.items()}
    with (tmp_path / "store.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "sightstream", "store"], env=environment, stderr=log)
    yield database
    process.kill()
    process.wait()


@pytest.mark.parametrize("written_again", [10, 300], ids=["fewer records than before", "more records than before"])
def test_the_rows_follow_the_log_that_is_left(
    cluster: Cluster, topics: TopicSettings, store: Path, tmp_path: Path, written_again: int
) -> None:
    publisher = OutcomePublisher(cluster.kafka_settings, topics)
    publisher.publish(range(90))
    wait_for(lambda: row_count(store) == 90, "the rows of what both brokers have")
    publisher.begin(range(90, 100))  # the broker behind will have its records and not its end
    cluster.brokers[BEHIND].kill()
    wait_for(lambda: in_sync(cluster, topics) == [AHEAD], "the broker behind to count as behind")
    publisher.end()
    for first in range(100, 200, 10):
        publisher.publish(range(first, first + 10))
    wait_for(lambda: row_count(store) == 200, "the rows of what one broker has")
    lost = rows(store)
    cluster.brokers[AHEAD].kill()
    cluster.brokers[BEHIND].restart()
    wait_for(lambda: cluster.leader(topics.results) == BEHIND, "the broker behind to lead", 120)
    OutcomePublisher(cluster.kafka_settings, topics).publish(range(1000, 1000 + written_again))
    left = everything(cluster, topics)
    assert not left.items() >= lost.items(), "nothing was lost, so the test shows nothing"
    wait_for(lambda: rows(store) == left, "the rows of what is left", 120)
    assert "the broker lost" in (tmp_path / "store.log").read_text()
    cluster.brokers[AHEAD].restart()
    wait_for(lambda: len(in_sync(cluster, topics)) == 2, "the dead broker to follow", 120)
    # Its next transaction ends the one whose end was lost, too; until then nothing behind that is read.
    OutcomePublisher(cluster.kafka_settings, topics, publisher.name).publish(range(2000, 2010))
    seen = everything(cluster, topics)
    assert len(seen) == 100 + 10 + written_again + 10, "of what is lost, only the dead letters are left"
    wait_for(lambda: rows(store) == seen, "the rows of what comes then", 120)


def in_sync(cluster: Cluster, topics: TopicSettings) -> list[int]:
    return list(cluster.admin.list_topics(topics.results, timeout=30).topics[topics.results].partitions[0].isrs)


def everything(cluster: Cluster, topics: TopicSettings) -> Seen:
    return read_all(cluster.kafka_settings, [topics.results, topics.dead_letters], topics.partitions)
