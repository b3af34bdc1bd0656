"""What the engine's process tells of its device, with and without one."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from sightstream.pipeline.engine.device import device_name, reserved_bytes, torch_version
from sightstream.pipeline.engine.settings import EngineSettings

SETTINGS = EngineSettings(kind="simulated")


def fake_torch(*, has_gpu: bool) -> SimpleNamespace:
    cuda = SimpleNamespace(
        is_available=lambda: has_gpu,
        is_initialized=lambda: has_gpu,
        get_device_name=lambda: "NVIDIA H100",
        memory_reserved=lambda: 7,
    )
    return SimpleNamespace(cuda=cuda, __version__="2.11.0")


def test_a_gpu_in_use_is_named_with_the_memory_that_is_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch(has_gpu=True))
    assert (device_name(SETTINGS), torch_version(), reserved_bytes()) == ("NVIDIA H100", "2.11.0", 7)
    assert device_name(SETTINGS.model_copy(update={"device": "cpu"})) == "cpu"


def test_without_a_gpu_nothing_is_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch(has_gpu=False))
    assert (device_name(SETTINGS), reserved_bytes()) == ("cpu", None)


def test_without_torch_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert (device_name(SETTINGS), torch_version(), reserved_bytes()) == ("", "", None)
