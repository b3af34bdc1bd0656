"""Lag on a real broker, with real transactions."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition

from sightstream.consumers.kafka.broker import Replicas
from sightstream.consumers.kafka.offset_metadata import encode
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.lag.reader import LagReader, open_lag_reader
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.types import GroupLag
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.publishing import OutcomePublisher, read_all
from tests.consumers.waiting import wait_for

pytestmark = pytest.mark.real


@pytest.fixture
def group() -> str:
    return uuid4().hex


@pytest.fixture
def reader(runtime: LocalRuntime, topics: TopicSettings, group: str) -> Iterator[LagReader]:
    with open_lag_reader(runtime.kafka_settings, LagSettings(), {group: (topics.results,)}) as opened:
        yield opened


@pytest.fixture
def committed_offsets(runtime: LocalRuntime, topics: TopicSettings) -> list[int]:
    """The offsets that a committed reader gets from partition 0 of ten transactions, two of them aborted."""
    publisher = OutcomePublisher(runtime.kafka_settings, topics)
    for turn in range(10):
        publisher.publish(range(turn * 10, turn * 10 + 10), commit=turn not in (4, 9))
    seen = read_all(runtime.kafka_settings, [topics.results], topics.partitions)
    return sorted(offset for _, partition, offset in seen if partition == 0)


def commit(kafka: KafkaSettings, group: str, topic: str, offset: int, metadata: str = "") -> None:
    consumer = Consumer(kafka.client_config() | {"group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset, metadata)], asynchronous=False)
    consumer.close()


def test_a_drained_transactional_topic_reads_0(
    runtime: LocalRuntime, topics: TopicSettings, reader: LagReader, group: str, committed_offsets: list[int]
) -> None:
    commit(runtime.kafka_settings, group, topics.results, committed_offsets[-1] + 1)
    part = reader.read()[0].partitions[0]
    assert part.stable_end > committed_offsets[-1] + 1  # a marker, or aborted records, are still to come
    assert (part.records, part.seconds) == (0, 0.0)


def test_partially_read(
    runtime: LocalRuntime, topics: TopicSettings, reader: LagReader, group: str, committed_offsets: list[int]
) -> None:
    commit(runtime.kafka_settings, group, topics.results, committed_offsets[3])
    before = time.time()
    time.sleep(1)  # so that an age can be told from none
    part = reader.read()[0].partitions[0]
    assert part.records == len(committed_offsets) - 3
    assert part.seconds is not None
    assert 1 < part.seconds < time.time() - before + 30


def test_every_reading_says_the_same(
    runtime: LocalRuntime, topics: TopicSettings, group: str, committed_offsets: list[int]
) -> None:
    settings = LagSettings(read_records=0, read_timeout_s=3)  # one record is read, then the partition is paused
    with open_lag_reader(runtime.kafka_settings, settings, {group: (topics.results,)}) as reader:
        readings = [reader.read()[0].partitions for _ in range(3)]
    assert None not in {part.seconds for parts in readings for part in parts}
    assert len({tuple(part.records for part in parts) for parts in readings}) == 1


def test_finished_beyond_the_committed_offset(
    runtime: LocalRuntime, topics: TopicSettings, reader: LagReader, group: str, committed_offsets: list[int]
) -> None:
    base, last = committed_offsets[3], committed_offsets[-1]
    commit(runtime.kafka_settings, group, topics.results, base, encode(base, ((base + 1, last + 1),)))
    assert reader.read()[0].partitions[0].records == 1


def test_beyond_the_budget_lag_is_an_estimate(
    runtime: LocalRuntime, topics: TopicSettings, group: str, committed_offsets: list[int]
) -> None:
    settings = LagSettings(read_records=0)
    with open_lag_reader(runtime.kafka_settings, settings, {group: (topics.results,)}) as reader:
        part = reader.read()[0].partitions[0]
    assert part.estimated
    assert part.records == part.stable_end - committed_offsets[0]
    assert part.seconds is not None


def test_somebody_elses_group_and_its_partitions(
    runtime: LocalRuntime, topics: TopicSettings, group: str, committed_offsets: list[int]
) -> None:
    commit(runtime.kafka_settings, group, topics.results, committed_offsets[0])
    with open_lag_reader(runtime.kafka_settings, LagSettings(), {f"{group[:-1]}?": ()}) as reader:
        reading = reader.read_all()
    assert [(lag.group, lag.records) for lag in reading.groups] == [(group, len(committed_offsets))]
    (state,) = reading.partitions.values()
    assert (state.earliest, state.stable_end > committed_offsets[-1]) == (0, True)
    assert state.replicas == Replicas(1, (1,), (1,))


def test_a_group_that_never_committed(reader: LagReader, committed_offsets: list[int]) -> None:
    group = reader.read()[0]
    assert group.partitions[0].committed is None
    assert group.partitions[0].records == len(committed_offsets)
    assert group.members == ()


def test_who_owns_what(runtime: LocalRuntime, topics: TopicSettings, reader: LagReader, group: str) -> None:
    consumer = Consumer(runtime.kafka_settings.client_config() | {"group.id": group, "client.id": "me"})
    consumer.subscribe([topics.results])

    def joined() -> GroupLag | None:
        consumer.poll(0.1)
        found = reader.read()[0]
        return found if all(part.owner for part in found.partitions) else None

    found = wait_for(joined)
    assert found is not None
    consumer.close()
    assert {part.owner.client_id for part in found.partitions if part.owner} == {"me"}
    assert [(member.client_id, member.host) for member in found.members] == [("me", "127.0.0.1")]


def test_a_missing_topic_is_an_error(runtime: LocalRuntime, group: str) -> None:
    with (
        open_lag_reader(runtime.kafka_settings, LagSettings(), {group: ("no.such.topic",)}) as reader,
        pytest.raises(KafkaReadError, match=r"no\.such\.topic"),
    ):
        reader.read()


def test_a_broker_that_is_away_is_an_error_in_time() -> None:
    away = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with open_lag_reader(away, LagSettings(read_timeout_s=1), {"g": ("t",)}) as reader:
        start = time.monotonic()
        with pytest.raises(KafkaReadError):
            reader.read()
    assert time.monotonic() - start < 10


def test_the_command_prints_json(config_file: Path, topics: TopicSettings) -> None:
    command = [sys.executable, "-m", "sightstream", "--config", str(config_file), "lag", "--json"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    groups = {group["group"]: group for group in json.loads(done.stdout)["groups"]}
    assert set(groups) == {"sightstream-workers", "sightstream-store", "sightstream-lookup"}
    assert [part["topic"] for part in groups["sightstream-workers"]["partitions"]] == [topics.requests] * 4
    assert groups["sightstream-workers"]["queue_empty_seconds"] == 0
