"""The lookup on a real broker: right, never aborted, never older, whatever happens to it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from sightstream.consumers.lookup.client import LookupUnavailable, ask, find_address
from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.publishing import OutcomePublisher, read_all
from tests.consumers.waiting import wait_for

pytestmark = pytest.mark.real

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(config_file: Path, topics: TopicSettings, tmp_path: Path) -> Iterator[Start]:
    """`start(folder)` starts a lookup that works in it."""
    started: list[subprocess.Popen[bytes]] = []

    def run(folder: Path) -> subprocess.Popen[bytes]:
        file = tmp_path / f"{folder.name}.toml"
        group_id = f"of.{topics.results}"
        section = f'\n[lookup]\ndata_dir = "{folder}"\ngroup_id = "{group_id}"\nport = 0\nsession_timeout_s = 6\n'
        file.write_text(config_file.read_text() + section)
        command = [sys.executable, "-m", "sightstream", "--config", str(file), "lookup", "--serve"]
        with (tmp_path / "lookup.log").open("ab") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
    print((tmp_path / "lookup.log").read_text())  # noqa: T201 - shown when the test fails


def newest(runtime: LocalRuntime, topics: TopicSettings) -> dict[str, dict[str, Any]]:
    """By product, from the topic itself: the last committed result."""
    seen = read_all(runtime.kafka_settings, [topics.results], topics.partitions)
    results = [json.loads(value) for _, value in sorted(seen.items()) if value and value.startswith(b"{")]
    return {result["product_id"]: result for result in results}


def shown(folder: Path, products: list[str]) -> dict[str, dict[str, Any]] | None:
    """None while it is not ready."""
    with suppress(LookupUnavailable):
        address = find_address(LookupSettings(data_dir=folder, port=0))
        found = {product: ask(address, product) for product in products}
        return {product: entry.document["result"] for product, entry in found.items() if entry}
    return None


def wait_until_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    def ready() -> bool:
        assert process.poll() is None, "the lookup ended"
        return shown(folder, ["nobody"]) is not None

    wait_for(ready, 60)


def test_right_from_an_empty_topic_through_kills_and_a_lost_folder(
    runtime: LocalRuntime, topics: TopicSettings, start: Start, tmp_path: Path
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
    shutil.rmtree(folder / "v1")
    process = start(folder)
    wait_until_ready(process, folder)
    assert shown(folder, list(truth)) == truth


def test_the_partitions_of_a_killed_lookup_are_taken_over(
    runtime: LocalRuntime, topics: TopicSettings, start: Start, tmp_path: Path
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
