"""The samples that Prometheus gets."""

from __future__ import annotations

import threading
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from sightstream.consumers.kafka.broker import Member
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.lag.exporter import LagCollector, keep_reading
from sightstream.consumers.lag.types import GroupLag, PartitionLag
from sightstream.consumers.metrics_server import MetricsPortInUse, serve_metrics

OWNER = Member("m-1", "worker-1", "10.0.0.1")
PARTS = (
    PartitionLag("g", "t", 0, 5, 9, 4, 2.5, OWNER),
    PartitionLag("g", "t", 1, None, 3, 3, 7.0, None),
    PartitionLag("g", "u", 0, 1, 1, 0, 0.0, None),
)


class Reader:
    def __init__(self, *readings: list[GroupLag] | KafkaReadError) -> None:
        self._readings = list(readings)

    def read(self) -> list[GroupLag]:
        reading = self._readings.pop(0)
        if isinstance(reading, KafkaReadError):
            raise reading
        return reading


def samples(collector: LagCollector) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(s.name, tuple(s.labels.values())): s.value for family in collector.collect() for s in family.samples}


def collector(*readings: list[GroupLag] | KafkaReadError) -> LagCollector:
    made = LagCollector("kafka")
    reader = Reader(*readings)
    for _ in readings:
        made.refresh(reader)
    return made


def test_names_and_labels_that_people_know() -> None:
    assert samples(collector([GroupLag("g", (OWNER,), PARTS, 12.0)])) == {
        ("kafka_consumergroup_lag", ("g", "t", "0")): 4,
        ("kafka_consumergroup_lag", ("g", "t", "1")): 3,
        ("kafka_consumergroup_lag", ("g", "u", "0")): 0,
        ("kafka_consumergroup_lag_sum", ("g", "t")): 7,
        ("kafka_consumergroup_lag_sum", ("g", "u")): 0,
        ("kafka_consumergroup_members", ("g",)): 1,
        ("kafka_consumergroup_group_lag_seconds", ("kafka", "g", "t", "0", "10.0.0.1", "m-1", "worker-1")): 2.5,
        ("kafka_consumergroup_group_lag_seconds", ("kafka", "g", "t", "1", "", "", "")): 7,
        ("kafka_consumergroup_group_lag_seconds", ("kafka", "g", "u", "0", "", "", "")): 0,
        ("kafka_consumergroup_group_max_lag_seconds", ("kafka", "g")): 7,
        ("sightstream_queue_empty_seconds", ("g",)): 12,
    }


def test_what_is_not_known_is_not_shown() -> None:
    unknown = PartitionLag("g", "t", 0, 5, 9, 4, None, None)
    names = {name for name, _ in samples(collector([GroupLag("g", (), (unknown,))]))}
    assert names == {"kafka_consumergroup_lag", "kafka_consumergroup_lag_sum", "kafka_consumergroup_members"}


def test_after_a_failed_reading_no_old_number_is_shown() -> None:
    good = [GroupLag("g", (OWNER,), PARTS)]
    assert samples(collector(good, KafkaReadError("the broker is gone"))) == {}
    assert samples(collector(KafkaReadError("the broker is gone"), good)) != {}


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
