"""The samples that Prometheus gets."""

from __future__ import annotations

import threading
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from sightstream.consumers.kafka.broker import Member, Replicas
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId
from sightstream.consumers.lag.exporter import LagCollector, keep_reading
from sightstream.consumers.lag.types import GroupLag, LagReading, PartitionLag, PartitionState
from sightstream.consumers.metrics_server import MetricsPortInUse, serve_metrics

OWNER = Member("m-1", "worker-1", "10.0.0.1")
PARTS = (
    PartitionLag("g", "t", 0, 5, 9, 4, 2.5, OWNER),
    PartitionLag("g", "t", 1, None, 3, 3, 7.0, None, estimated=True),
    PartitionLag("g", "u", 0, 1, 1, 0, 0.0, None),
)
STATES = {
    PartitionId("t", 0): PartitionState(2, 9, Replicas(1, (1, 2, 3), (1, 2, 3))),
    PartitionId("t", 1): PartitionState(0, 3, Replicas(2, (1, 2, 3), (2, 3))),
    PartitionId("u", 0): PartitionState(0, 1, Replicas(None, (1,), ())),
}


class Reader:
    def __init__(self, *readings: list[GroupLag] | KafkaReadError) -> None:
        self._readings = list(readings)

    def read_all(self) -> LagReading:
        reading = self._readings.pop(0)
        if isinstance(reading, KafkaReadError):
            raise reading
        return LagReading(tuple(reading), STATES)


def samples(collector: LagCollector, *prefixes: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """The samples whose names begin so, all without prefixes."""
    return {
        (s.name, tuple(s.labels.values())): s.value
        for family in collector.collect()
        for s in family.samples
        if s.name.startswith(prefixes or "")
    }


def collector(*readings: list[GroupLag] | KafkaReadError) -> LagCollector:
    made = LagCollector("kafka")
    reader = Reader(*readings)
    for _ in readings:
        made.refresh(reader)
    return made


def test_names_and_labels_that_people_know() -> None:
    lag = GroupLag("g", (OWNER,), PARTS, 12.0, arrivals_per_s=2.0, completions_per_s=3.0, gpu_seconds=40.0)
    assert samples(collector([lag]), "kafka_consumergroup", "sightstream_queue") == {
        ("kafka_consumergroup_lag", ("g", "t", "0")): 4,
        ("kafka_consumergroup_lag", ("g", "t", "1")): 3,
        ("kafka_consumergroup_lag", ("g", "u", "0")): 0,
        ("kafka_consumergroup_lag_sum", ("g", "t")): 7,
        ("kafka_consumergroup_lag_sum", ("g", "u")): 0,
        ("kafka_consumergroup_current_offset", ("g", "t", "0")): 5,
        ("kafka_consumergroup_current_offset", ("g", "u", "0")): 1,
        ("kafka_consumergroup_members", ("g",)): 1,
        ("kafka_consumergroup_group_lag_seconds", ("kafka", "g", "t", "0", "10.0.0.1", "m-1", "worker-1")): 2.5,
        ("kafka_consumergroup_group_lag_seconds", ("kafka", "g", "t", "1", "", "", "")): 7,
        ("kafka_consumergroup_group_lag_seconds", ("kafka", "g", "u", "0", "", "", "")): 0,
        ("kafka_consumergroup_group_max_lag_seconds", ("kafka", "g")): 7,
        ("sightstream_queue_empty_seconds", ("g",)): 12,
        ("sightstream_queue_arrivals_per_second", ("g",)): 2,
        ("sightstream_queue_completions_per_second", ("g",)): 3,
        ("sightstream_queue_gpu_seconds", ("g",)): 40,
        ("sightstream_queue_estimated_partitions", ("g",)): 1,
    }


def test_partitions_as_kafka_exporter_names_them() -> None:
    shown = samples(collector([GroupLag("g", (), PARTS)]), "kafka_topic")
    values = {
        "current_offset": (9, 3, 1),
        "oldest_offset": (2, 0, 0),
        "replicas": (3, 3, 1),
        "in_sync_replica": (3, 2, 0),
        "under_replicated_partition": (0, 1, 1),
        "leader_is_preferred": (1, 0, 0),
    }
    expected: dict[tuple[str, tuple[str, ...]], float] = {
        ("kafka_topic_partitions", ("t",)): 2,
        ("kafka_topic_partitions", ("u",)): 1,
    }
    for name, of_each in values.items():
        for labels, value in zip((("t", "0"), ("t", "1"), ("u", "0")), of_each, strict=True):
            expected[f"kafka_topic_partition_{name}", labels] = value
    assert shown == expected


def test_what_is_not_known_is_not_shown() -> None:
    unknown = PartitionLag("g", "t", 0, None, 9, 4, None, None)
    names = {name for name, _ in samples(collector([GroupLag("g", (), (unknown,))]), "kafka_consumer", "sightstream")}
    assert names == {
        "kafka_consumergroup_lag",
        "kafka_consumergroup_lag_sum",
        "kafka_consumergroup_members",
        "sightstream_partition_unstable_offsets",
        "sightstream_queue_estimated_partitions",
    }


def test_after_a_failed_reading_no_old_number_is_shown() -> None:
    good = [GroupLag("g", (OWNER,), PARTS)]
    assert {name for name, _ in samples(collector(good, KafkaReadError("gone")))} == {"kafka_exporter_build_info"}
    assert ("kafka_consumergroup_lag_sum", ("g", "t")) in samples(collector(KafkaReadError("gone"), good))


def test_served_on_loopback_and_read_until_stopped(unused_port: int) -> None:
    stop = threading.Event()
    made = LagCollector("kafka")
    registry = CollectorRegistry()
    registry.register(made)
    reader = Reader([], [GroupLag("g", (), PARTS)])
    with serve_metrics(unused_port, registry):
        while reader._readings:
            keep_reading(reader, made, 0, _after_one(stop))
        shown = urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/metrics").read().decode()
        with pytest.raises(MetricsPortInUse, match=str(unused_port)), serve_metrics(unused_port, registry):
            pass
    assert 'kafka_consumergroup_lag{consumergroup="g",partition="1",topic="t"} 3.0' in shown


def _after_one(stop: threading.Event) -> threading.Event:
    stop.set()
    return stop


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
