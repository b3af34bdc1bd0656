"""Shows lag to Prometheus. It is read at an interval of its own, so that a scrape never waits for the broker."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sightstream.consumers import metrics
from sightstream.consumers.kafka.broker import Member
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId
from sightstream.consumers.lag.types import GroupLag, LagReading, PartitionState

log = logging.getLogger(__name__)


class LagSource(Protocol):
    """Reads the lag of all groups. Raises KafkaReadError."""

    def read_all(self) -> LagReading: ...


class LagCollector(Collector):
    """Shows the last reading; after a failed one it shows no lag at all, since an old number would look current."""

    def __init__(self, cluster_name: str) -> None:
        self._cluster = cluster_name
        self._last = LagReading()
        self.problem: str | None = None  # why the last reading failed
        metrics.LAG_READS.labels("failed")  # shown as 0 before the first one

    def refresh(self, reader: LagSource) -> None:
        """Read the lag once. A KafkaReadError is logged and counted, not raised."""
        try:
            self._last, self.problem = reader.read_all(), None
            metrics.LAG_READS.labels("read").inc()
        except KafkaReadError as error:
            self._last, self.problem = LagReading(), "lag can't be read"
            metrics.LAG_READS.labels("failed").inc()
            log.warning("lag can't be read: %s", error)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        reading = self._last
        yield _family(metrics.EXPORTER_BUILD, [((version("sightstream"),), 1)])
        yield from _of_groups(reading.groups)
        yield from _of_group_partitions(reading.groups)
        yield from _with_cluster(reading.groups, self._cluster)
        yield from _of_partitions(reading.partitions)


def keep_reading(
    reader: LagSource,
    collector: LagCollector,
    interval_s: float,
    stop: threading.Event,
    on_turn: Callable[[str | None], None] = lambda problem: None,
) -> None:
    """Read the lag every `interval_s`, and tell `on_turn` why a reading failed. Blocks until `stop` is set."""
    while True:
        collector.refresh(reader)
        on_turn(collector.problem)
        if stop.wait(interval_s):
            return


def _of_groups(groups: Sequence[GroupLag]) -> Iterator[GaugeMetricFamily]:
    numbers: dict[metrics.Exported, Callable[[GroupLag], float | None]] = {
        metrics.QUEUE_EMPTY_SECONDS: lambda group: group.queue_empty_seconds,
        metrics.QUEUE_ARRIVALS: lambda group: group.arrivals_per_s,
        metrics.QUEUE_COMPLETIONS: lambda group: group.completions_per_s,
        metrics.QUEUE_GPU_SECONDS: lambda group: group.gpu_seconds,
        metrics.QUEUE_ESTIMATED: lambda group: sum(part.estimated for part in group.partitions),
        metrics.CONSUMERGROUP_MEMBERS: lambda group: len(group.members),
    }
    for metric, number in numbers.items():
        yield _family(metric, (((group.group,), number(group)) for group in groups))


def _of_group_partitions(groups: Sequence[GroupLag]) -> Iterator[GaugeMetricFamily]:
    parts = [part for group in groups for part in group.partitions]
    labels = [(part.group, part.topic, str(part.partition)) for part in parts]
    sums: Counter[tuple[str, str]] = Counter()
    for part in parts:
        sums[part.group, part.topic] += part.records
    yield _family(metrics.CONSUMERGROUP_LAG, zip(labels, (part.records for part in parts), strict=True))
    yield _family(metrics.CONSUMERGROUP_LAG_SUM, sums.items())
    yield _family(metrics.CONSUMERGROUP_CURRENT_OFFSET, zip(labels, (part.committed for part in parts), strict=True))


def _with_cluster(groups: Sequence[GroupLag], cluster: str) -> Iterator[GaugeMetricFamily]:
    yield _family(
        metrics.GROUP_LAG_SECONDS,
        (
            ((cluster, part.group, part.topic, str(part.partition), *_member(part.owner)), part.seconds)
            for group in groups
            for part in group.partitions
        ),
    )
    yield _family(metrics.GROUP_MAX_LAG_SECONDS, (((cluster, group.group), group.seconds) for group in groups))


def _member(owner: Member | None) -> tuple[str, str, str]:
    return (owner.host, owner.member_id, owner.client_id) if owner else ("", "", "")


def _family(metric: metrics.Exported, samples: Iterable[tuple[Sequence[str], float | None]]) -> GaugeMetricFamily:
    """Return the metric with these values of its labels; what is not known is left out."""
    family = metric.family()
    for labels, value in samples:
        if value is not None:
            family.add_metric(labels, value)
    return family


def _of_partitions(states: Mapping[PartitionId, PartitionState]) -> Iterator[GaugeMetricFamily]:
    """Return what kafka_exporter says of partitions."""
    numbers: dict[metrics.Exported, Callable[[PartitionState], float]] = {
        metrics.PARTITION_CURRENT_OFFSET: lambda state: state.stable_end,
        metrics.PARTITION_UNSTABLE_OFFSETS: lambda state: state.unstable,
        metrics.PARTITION_OLDEST_OFFSET: lambda state: state.earliest,
        metrics.PARTITION_REPLICAS: lambda state: len(state.replicas.all),
        metrics.PARTITION_IN_SYNC: lambda state: len(state.replicas.in_sync),
        metrics.PARTITION_UNDER_REPLICATED: lambda state: len(state.replicas.in_sync) < len(state.replicas.all),
        metrics.PARTITION_LEADER_PREFERRED: lambda state: state.replicas.leader == state.replicas.all[0],
    }
    labels = [(at.topic, str(at.partition)) for at in states]
    yield _family(metrics.TOPIC_PARTITIONS, (((topic,), n) for topic, n in Counter(at.topic for at in states).items()))
    for metric, number in numbers.items():
        yield _family(metric, zip(labels, map(number, states.values()), strict=True))
