"""Shows the free space of the disks that this process writes to, read at each scrape."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sightstream.consumers.metrics import DISK_FREE, DISK_SIZE

PathRole = Literal["store_database", "lookup_table", "worker_state", "worker_temporary"]


@contextmanager
def show_disk_space(paths: Mapping[PathRole, Path], registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """Export the free space under each role while the block runs."""
    collector = DiskSpace(paths)
    registry.register(collector)
    try:
        yield
    finally:
        registry.unregister(collector)


class DiskSpace(Collector):
    """A path that does not exist yet counts for the folder above it; a disk that can't be asked is left out."""

    def __init__(self, paths: Mapping[PathRole, Path]) -> None:
        self._paths = paths

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing, so that several may be registered."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        free, size = DISK_FREE.family(), DISK_SIZE.family()
        for role, path in self._paths.items():
            try:
                found = os.statvfs(_existing(path))
            except OSError:
                continue
            free.add_metric([role], found.f_bavail * found.f_frsize)
            size.add_metric([role], found.f_blocks * found.f_frsize)
        yield from (free, size)


def _existing(path: Path) -> Path:
    absolute = path.absolute()
    return next((each for each in (absolute, *absolute.parents) if each.exists()), absolute)
