"""The store and the look-up hold what the topics hold, whatever happens to them or to the writers of the topics."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.lookup.harness import Lookups, newest, shown, wait_until_ready
from tests.consumers.publishing import OutcomePublisher, read_all
from tests.consumers.store.test_real_store import rows
from tests.faults.harness import ROOT

pytestmark = pytest.mark.real


@pytest.fixture
def lookups(config_file: Path, topics: TopicSettings, tmp_path: Path) -> Iterator[Lookups]:
    lookups = Lookups(config_file, topics, tmp_path)
    yield lookups
    lookups.stop()


def test_a_store_killed_when_its_position_has_moved_lacks_no_row(
    runtime: LocalRuntime, topics: TopicSettings, config_file: Path, tmp_path: Path
) -> None:
    publisher = OutcomePublisher(runtime.kafka_settings, topics)
    publisher.publish(range(30))
    publisher.publish(range(30, 40), commit=False)
    database = tmp_path / "results.db"
    with config_file.open("a") as file:
        file.write(f'\n[store]\npath = "{database}"\ngroup_id = "of-{topics.results}"\nbatch_records = 10\n')
    assert run_store("tests.faults.dying_store", config_file) == -signal.SIGKILL
    assert run_store("sightstream", config_file) == 0
    stored = rows(database)
    written = read_all(runtime.kafka_settings, [topics.results, topics.dead_letters], topics.partitions)
    lacking, foreign = len(written.keys() - stored.keys()), len(stored.keys() - written.keys())
    assert stored == written, f"I6: the store lacks {lacking} records of its topics, and has {foreign} of no topic"


def run_store(module: str, config: Path) -> int:
    command = [sys.executable, "-m", module, "--config", str(config), "store", "--until-idle", "0.5"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode


def test_the_lookup_shows_nothing_of_an_aborted_transaction(
    runtime: LocalRuntime, topics: TopicSettings, lookups: Lookups, tmp_path: Path
) -> None:
    publisher = OutcomePublisher(runtime.kafka_settings, topics)
    publisher.publish(range(20))
    publisher.publish(range(50, 70), commit=False)  # newer results of the same products
    publisher.publish(range(120, 140))  # of others: who has read these, has passed the aborted ones
    folder = tmp_path / "lookup"
    wait_until_ready(lookups(folder), folder)
    truth = newest(runtime, topics)
    found = shown(folder, list(truth)) or {}
    wrong = sorted(product for product in truth if found.get(product) != truth[product])
    assert not wrong, f"I6: the look-up shows other results than its topic has: {wrong}"
