"""The GPU's metrics are what NVML says of this worker's GPU, and no figure is made up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sightstream.consumers.worker import gpu
from sightstream.consumers.worker.gpu import Gpu, open_gpu, show_gpu

MEMORY = SimpleNamespace(used=30, total=80)


class NVMLError(Exception):
    pass


class FakeNvml:
    """Two GPUs, 0 and 1; the second is a part of one, whose use nobody measures."""

    NVMLError = NVMLError

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return f"GPU-{index}"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:
        return MEMORY

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:
        if handle == "GPU-1":
            raise NVMLError("not supported")
        return SimpleNamespace(gpu=64)


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(__import__("sys").modules, "pynvml", fake)
    return fake


def shown(handle: str, nvml: FakeNvml) -> dict[str, float]:
    return {family.name: family.samples[0].value for family in Gpu(nvml, handle).collect()}


def test_busy_is_a_ratio_and_memory_is_in_bytes(nvml: FakeNvml) -> None:
    assert shown("GPU-0", nvml) == {
        "sightstream_gpu_busy_ratio": 0.64,
        "sightstream_gpu_memory_used_bytes": 30,
        "sightstream_gpu_memory_size_bytes": 80,
    }


def test_what_the_driver_does_not_measure_is_absent(nvml: FakeNvml) -> None:
    assert set(shown("GPU-1", nvml)) == {"sightstream_gpu_memory_used_bytes", "sightstream_gpu_memory_size_bytes"}


@pytest.mark.parametrize(
    ("environment", "handle"),
    [({}, "GPU-0"), ({"CUDA_VISIBLE_DEVICES": "1"}, "GPU-1"), ({"CUDA_VISIBLE_DEVICES": "GPU-ab, 0"}, "GPU-ab")],
)
def test_it_is_the_first_gpu_that_the_worker_may_use(nvml: FakeNvml, environment: dict[str, str], handle: str) -> None:
    opened: Any = open_gpu(environment)
    assert opened._handle == handle


def test_without_a_gpu_nothing_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "open_gpu", lambda: None)
    registry = CollectorRegistry()
    with show_gpu(registry):
        assert list(registry.collect()) == []


def test_the_real_binding_answers_with_or_without_a_gpu() -> None:
    opened = open_gpu()
    assert opened is None or {"sightstream_gpu_memory_size_bytes"} <= {family.name for family in opened.collect()}
