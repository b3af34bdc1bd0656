"""Shows lag to Prometheus. It is read at an interval of its own, so that a scrape never waits for the broker."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sightstream.consumers import metrics
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.lag.types import GroupLag, PartitionLag

log = logging.getLogger(__name__)


class LagSource(Protocol):
    """Reads the lag of all groups. Raises KafkaReadError."""

    def read(self) -> list[GroupLag]: ...


class LagCollector(Collector):
    """Shows the last reading; after a failed one it shows no lag at all, since an old number would look current."""

    def __init__(self, cluster_name: str) -> None:
        self._cluster = cluster_name
        self._last: Sequence[GroupLag] = ()
        metrics.LAG_READS.labels("failed")  # shown as 0 before the first one

    def refresh(self, reader: LagSource) -> None:
        """Read the lag once. A KafkaReadError is logged and counted, not raised."""
        try:
            self._last = reader.read()
            metrics.LAG_READS.labels("read").inc()
        except KafkaReadError as error:
            self._last = ()
            metrics.LAG_READS.labels("failed").inc()
            log.warning("lag can't be read: %s", error)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        groups = self._last
        yield from (_lag(groups), _sums(groups), _members(groups), _queue_empty(groups))
        yield from (_seconds(groups, self._cluster), _max_seconds(groups, self._cluster))


def keep_reading(reader: LagSource, collector: LagCollector, interval_s: float, stop: threading.Event) -> None:
    """Read the lag every `interval_s`. Blocks until `stop` is set."""
    collector.refresh(reader)
    while not stop.wait(interval_s):
        collector.refresh(reader)


def _lag(groups: Sequence[GroupLag]) -> GaugeMetricFamily:
    family = metrics.CONSUMERGROUP_LAG.family()
    for group, part in _partitions(groups):
        family.add_metric([group.group, part.topic, str(part.partition)], part.records)
    return family


def _sums(groups: Sequence[GroupLag]) -> GaugeMetricFamily:
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for group, part in _partitions(groups):
        sums[group.group, part.topic] += part.records
    family = metrics.CONSUMERGROUP_LAG_SUM.family()
    for labels, records in sums.items():
        family.add_metric(labels, records)
    return family


def _members(groups: Sequence[GroupLag]) -> GaugeMetricFamily:
    family = metrics.CONSUMERGROUP_MEMBERS.family()
    for group in groups:
        family.add_metric([group.group], len(group.members))
    return family


def _queue_empty(groups: Sequence[GroupLag]) -> GaugeMetricFamily:
    family = metrics.QUEUE_EMPTY_SECONDS.family()
    for group in groups:
        if group.queue_empty_seconds is not None:
            family.add_metric([group.group], group.queue_empty_seconds)
    return family


def _seconds(groups: Sequence[GroupLag], cluster: str) -> GaugeMetricFamily:
    family = metrics.GROUP_LAG_SECONDS.family()
    for group, part in _partitions(groups):
        if part.seconds is not None:
            owner = part.owner
            labels = [owner.host, owner.member_id, owner.client_id] if owner else ["", "", ""]
            family.add_metric([cluster, group.group, part.topic, str(part.partition), *labels], part.seconds)
    return family


def _max_seconds(groups: Sequence[GroupLag], cluster: str) -> GaugeMetricFamily:
    family = metrics.GROUP_MAX_LAG_SECONDS.family()
    for group in groups:
        if group.seconds is not None:
            family.add_metric([cluster, group.group], group.seconds)
    return family


def _partitions(groups: Sequence[GroupLag]) -> Iterator[tuple[GroupLag, PartitionLag]]:
    return ((group, part) for group in groups for part in group.partitions)
