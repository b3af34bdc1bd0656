"""What the engine's process knows of its device. It loads nothing: an engine without torch has none."""

from __future__ import annotations

import sys

from sightstream.pipeline.engine.settings import EngineSettings


def device_name(settings: EngineSettings) -> str:
    """Return the name of the GPU, "cpu", or nothing where the engine did not load torch."""
    if (torch := sys.modules.get("torch")) is None:
        return ""
    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    return str(torch.cuda.get_device_name()) if on_gpu else "cpu"


def torch_version() -> str:
    """Return the version of what computes, nothing where the engine did not load torch."""
    torch = sys.modules.get("torch")
    return "" if torch is None else str(torch.__version__)


def reserved_bytes() -> int | None:
    """Return the GPU memory that this process has reserved, None without a GPU in use."""
    torch = sys.modules.get("torch")
    return int(torch.cuda.memory_reserved()) if torch is not None and torch.cuda.is_initialized() else None
