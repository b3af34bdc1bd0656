"""Two queues of work on a device: decoding is bound by memory, prefilling by arithmetic, so they run side by side."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


class Streams:
    """On a CPU everything is done at once, in the order in which it is asked for."""

    def __init__(self, device: torch.device, *, overlap_prefill: bool = True) -> None:
        self._on_gpu = device.type == "cuda"
        if self._on_gpu:
            self._decode = torch.cuda.Stream(device)
            # The bottleneck goes first: behind the steps it would starve, and the batch run empty.
            self._prefill = torch.cuda.Stream(device, priority=-1) if overlap_prefill else self._decode

    def decode(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._decode) if self._on_gpu else nullcontext()

    def prefill(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._prefill) if self._on_gpu else nullcontext()

    def wait(self) -> None:
        """Until the device has done all that it was asked for."""
        if self._on_gpu:
            torch.cuda.synchronize()
