"""Two CUDA streams: decoding is bound by memory and prefilling by arithmetic, so they overlap."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, cast

import torch


class DeviceEvent(Protocol):
    """The part of torch.cuda.Event, which has no types, that is used here."""

    def record(self) -> None: ...
    def query(self) -> bool: ...
    def synchronize(self) -> None: ...


_new_event = cast("Callable[..., DeviceEvent]", torch.cuda.Event)  # typed: the classes of torch.cuda are not
_new_stream = cast("Callable[..., torch.cuda.Stream]", torch.cuda.Stream)


def record_event() -> DeviceEvent:
    """Return an event that is done once the current stream has done all that was launched so far.

    A thread that waits for it sleeps; by default it would use a whole core meanwhile.
    """
    event = _new_event(blocking=True)
    event.record()
    return event


class Streams:
    """Gives the streams for decoding and prefilling. On a CPU, work is done at once, in the order of the calls."""

    def __init__(self, device: torch.device, *, overlap_prefill: bool = True) -> None:
        self._on_gpu = device.type == "cuda"
        if self._on_gpu:
            self._decode = _new_stream(device)
            # Prefilling is the bottleneck and goes first: behind the steps it would starve, and the batch run empty.
            self._prefill = _new_stream(device, priority=-1) if overlap_prefill else self._decode

    def decode(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._decode) if self._on_gpu else nullcontext()

    def prefill(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._prefill) if self._on_gpu else nullcontext()

    def wait(self) -> None:
        """Block until the device has done everything that was launched."""
        if self._on_gpu:
            torch.cuda.synchronize()
