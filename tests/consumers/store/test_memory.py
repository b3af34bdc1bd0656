"""The memory of the store and of the lag reader stays within a bound however much is on their topics."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import Producer

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.outcomes import result
from tests.memory import peak_mib

pytestmark = pytest.mark.real

# What is loaded, a batch of 16 MiB in its three forms (records, rows, SQLite's pages), and the client's 16 MiB.
STORE_BOUND_MIB = 150
LAG_BOUND_MIB = 80


def publish_results(kafka: KafkaSettings, topics: TopicSettings, count: int, text_bytes: int) -> None:
    """Publish large results, as a model writes them that does not stop."""
    text = Random(0).randbytes(text_bytes // 2).hex()  # compresses about as well as real text
    value = encode(result("r-NUMBER", "p-1").model_copy(update={"raw_text": text}))
    producer = Producer(kafka.producer_config() | {"linger.ms": 20, "compression.type": "lz4"})
    for number in range(count):
        headers: list[tuple[str, str | bytes | None]] = [*RecordId(topics.requests, 0, number).headers()]
        producer.produce(topics.results, value.replace(b"NUMBER", str(number).encode()), b"p-1", headers=headers)
        if number % 100 == 0:
            assert producer.flush(60) == 0
    assert producer.flush(60) == 0


def run(config_file: Path, *command: str) -> tuple[str, float]:
    """Run a command to its end; return what it printed, and the peak of its memory in MiB."""
    arguments = [sys.executable, "-m", "sightstream", "--config", str(config_file), *command]
    peak = 0.0
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            with suppress(OSError, ValueError):  # it ends just now
                peak = peak_mib(process.pid)
            time.sleep(0.02)
        assert process.stdout is not None
        printed = process.stdout.read().decode()
    assert process.returncode == 0
    return printed, peak


def check_bounded(runtime: LocalRuntime, topics: TopicSettings, config_file: Path, tmp_path: Path, count: int) -> None:
    publish_results(runtime.kafka_settings, topics, count, text_bytes=200_000)
    group = f"store-of-{topics.results}"
    with config_file.open("a") as file:
        # Batches as large as the settings allow: what bounds them is their size.
        file.write(f'\n[store]\ngroup_id = "{group}"\nbatch_records = 100000\nbatch_interval_s = 3\n')
    printed, peak = run(config_file, "lag", "--json", "--group", group)
    assert json.loads(printed)["groups"][0]["records"] == count
    assert peak < LAG_BOUND_MIB
    printed, peak = run(config_file, "store", "--path", str(tmp_path / "r.db"), "--until-idle", "1")
    assert f"{count} results" in printed
    assert peak < STORE_BOUND_MIB


def test_a_long_topic_of_large_results(
    runtime: LocalRuntime, topics: TopicSettings, config_file: Path, tmp_path: Path
) -> None:
    check_bounded(runtime, topics, config_file, tmp_path, count=1000)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_very_long_topic_of_large_results(
    runtime: LocalRuntime, topics: TopicSettings, config_file: Path, tmp_path: Path
) -> None:
    check_bounded(runtime, topics, config_file, tmp_path, count=10_000)
