"""Copies from host to device without waiting for the device, which only copies from pinned memory allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def copy_to_device(host: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a small tensor, in the current stream's order."""
    if device.type == "cpu":
        return host
    return host.pin_memory().to(device, non_blocking=True)


def copy_numbers(numbers: Sequence[int] | Sequence[float], device: torch.device) -> torch.Tensor:
    return copy_to_device(torch.tensor(numbers), device)


def copy_bytes(data: bytes | memoryview, device: torch.device) -> torch.Tensor:
    """Copy to a tensor [bytes] of uint8, in the current stream's order; `data` may change afterwards."""
    host = torch.empty(len(data), dtype=torch.uint8, pin_memory=device.type == "cuda")
    host.numpy()[:] = np.frombuffer(data, dtype=np.uint8)
    return host.to(device, non_blocking=True)
