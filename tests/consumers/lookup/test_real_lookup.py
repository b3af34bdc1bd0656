"""The lookup on a real broker: right, never aborted, never older, whatever happens to it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.lookup.harness import Lookups, newest, shown, wait_until_ready
from tests.consumers.lookup.test_entry import OLD_ENTRY
from tests.consumers.outcomes import answer, result_v2
from tests.consumers.publishing import OutcomePublisher
from tests.consumers.waiting import wait_for

pytestmark = pytest.mark.real


def test_right_from_an_empty_topic_through_kills_and_a_lost_folder(
    runtime: LocalRuntime, topics: TopicSettings, start: Lookups, tmp_path: Path
) -> None:
    folder = tmp_path / "lookup"
    process = start(folder)
    wait_until_ready(process, folder)
    assert shown(folder, ["p-1", "nobody"]) == {}

    publisher = OutcomePublisher(runtime.kafka_settings, topics)
    for turn in range(10):
        publisher.publish(range(turn * 10, turn * 10 + 10), commit=turn != 8)
    Producer(runtime.kafka_settings.producer_config()).produce(topics.results, b"garbage", b"p-1")
    publisher.publish(range(200, 210))  # p-0 to p-9 once more: these are newer
    publisher.publish(range(300, 350), commit=False)  # and these never happened
    truth = newest(runtime, topics)
    assert len(truth) == 45
    assert truth["p-3"]["request_id"] == "r-203"
    wait_for(lambda: shown(folder, list(truth)) == truth)

    process.send_signal(signal.SIGKILL)
    process.wait()
    publisher.publish(range(400, 425))
    truth = newest(runtime, topics)
    process = start(folder)
    wait_until_ready(process, folder)
    assert shown(folder, list(truth)) == truth  # once it is ready, it is right

    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert {path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*")]} == {0}  # also what RocksDB made
    shutil.rmtree(folder / "v1")
    process = start(folder)
    wait_until_ready(process, folder)
    assert shown(folder, list(truth)) == truth


def test_entries_of_the_version_before_are_recovered_from_the_changelog(
    runtime: LocalRuntime, topics: TopicSettings, start: Lookups, tmp_path: Path
) -> None:
    folder = tmp_path / "lookup"
    process = start(folder)  # creates the changelog
    wait_until_ready(process, folder)
    process.kill()
    process.wait()
    producer = Producer(runtime.kafka_settings.producer_config())
    producer.produce(f"of.{topics.results}-newest-changelog", OLD_ENTRY, b"p-1")
    assert producer.flush(30) == 0
    process = start(folder)
    wait_until_ready(process, folder)
    assert shown(folder, ["p-1"]) == {"p-1": json.loads(OLD_ENTRY)["result"]}

    newer = result_v2("r-2", "p-1", answer("kind", "mug", 0.75))
    producer.produce(topics.results, encode(newer), b"p-1")
    assert producer.flush(30) == 0
    wait_for(lambda: shown(folder, ["p-1"]) == {"p-1": json.loads(encode(newer))})


def test_the_partitions_of_a_killed_lookup_are_taken_over(
    runtime: LocalRuntime, topics: TopicSettings, start: Lookups, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    publisher = OutcomePublisher(runtime.kafka_settings, topics)
    publisher.publish(range(100))
    truth = newest(runtime, topics)
    process = start(one)
    wait_for(lambda: shown(one, list(truth)) == truth, 60)
    survivor = start(other)
    # Each has some of the partitions and refers to the other for the rest.
    wait_for(lambda: ready_for_some(one, truth) and ready_for_some(other, truth), 60)
    process.send_signal(signal.SIGKILL)
    publisher.publish(range(400, 450))
    truth = newest(runtime, topics)
    wait_for(lambda: shown(other, list(truth)) is not None, 60)
    assert survivor.poll() is None
    assert shown(other, list(truth)) == truth


def ready_for_some(folder: Path, truth: dict[str, dict[str, Any]]) -> bool:
    answers = [shown(folder, [product]) for product in truth]
    given = [answer for answer in answers if answer is not None]
    assert {} not in given, "a product that is known was called unknown"
    return 0 < len(given) < len(truth)
