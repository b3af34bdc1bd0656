"""The store after a broker lost the end of its log and wrote other records there, as after an unclean election."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.publishing import OutcomePublisher, read_all
from tests.consumers.store.test_real_store import rows

pytestmark = pytest.mark.soak


def store_all(config_file: Path, database: Path) -> str:
    command = [sys.executable, "-m", "sightstream", "--config", str(config_file), "store"]
    done = subprocess.run(
        [*command, "--path", str(database), "--until-idle", "1"], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


def lose_the_end(runtime: LocalRuntime, topic: str) -> None:
    """Kill the broker, cut the last third off the log of the topic's partition 0, and start it again."""
    runtime.kafka.kill()
    (log,) = runtime.folder.path.glob(f"**/{topic}-0/00000000000000000000.log")
    os.truncate(log, log.stat().st_size * 2 // 3)
    runtime.kafka.restart()


@pytest.mark.parametrize("written_again", [10, 300], ids=["fewer records than before", "more records than before"])
def test_rows_equal_the_topic(tmp_path: Path, written_again: int) -> None:
    with LocalRuntime(tmp_path / "runtime") as runtime:
        topics = TopicSettings(partitions=1)
        config_file = runtime.prepare(topics)
        publisher = OutcomePublisher(runtime.kafka_settings, topics)
        for first in range(0, 100, 10):
            publisher.publish(range(first, first + 10))
        database = tmp_path / "results.db"
        store_all(config_file, database)
        lost = rows(database)
        lose_the_end(runtime, topics.results)
        OutcomePublisher(runtime.kafka_settings, topics).publish(range(1000, 1000 + written_again))
        truth = read_all(runtime.kafka_settings, [topics.results, topics.dead_letters], topics.partitions)
        assert not truth.items() >= lost.items()
        logged = store_all(config_file, database)
        assert rows(database) == truth
        assert "the broker lost" in logged
