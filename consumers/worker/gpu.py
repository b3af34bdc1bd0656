"""Shows how busy the GPU of this worker is, and its memory, read through NVML at each scrape."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sightstream.consumers.metrics import GPU_BUSY, GPU_MEMORY_SIZE, GPU_MEMORY_USED

log = logging.getLogger(__name__)

DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def show_gpu(registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """Export the GPU while the block runs; nothing where there is none, or no driver."""
    collector = open_gpu()
    if collector is None:
        yield
        return
    registry.register(collector)
    try:
        yield
    finally:
        registry.unregister(collector)


def open_gpu(environment: Mapping[str, str] = os.environ) -> Gpu | None:
    """Return the first GPU that this process may use, None where NVML finds none."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return Gpu(pynvml, _handle(pynvml, environment.get(DEVICES_VARIABLE)))
    except Exception as error:  # no binding, no driver, no such device
        log.debug("no metrics of a GPU: %s", error)
        return None


def _handle(nvml: Any, visible: str | None) -> Any:
    """Return NVML's handle. CUDA names devices by number, or by UUID; a number counts as NVML's own does."""
    first = "0" if visible is None else visible.split(",")[0].strip()
    return nvml.nvmlDeviceGetHandleByIndex(int(first)) if first.isdigit() else nvml.nvmlDeviceGetHandleByUUID(first)


class Gpu(Collector):
    """One GPU. A figure that the driver does not give, as on a part of a GPU (MIG), is left out."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing: a scrape says what there is."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        busy, used, size = GPU_BUSY.family(), GPU_MEMORY_USED.family(), GPU_MEMORY_SIZE.family()
        try:
            memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
            used.add_metric([], memory.used)
            size.add_metric([], memory.total)
            busy.add_metric([], self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / 100)
        except self._nvml.NVMLError as error:
            log.debug("the driver gives no figure of the GPU: %s", error)
        yield from (family for family in (busy, used, size) if family.samples)
