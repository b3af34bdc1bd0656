"""The phases of the device's work, for a tool that times them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol

Phase = Literal["encode", "image_kv", "prompts", "first_tokens", "step"]

_NOT_TIMED = nullcontext()


class PhaseTimer(Protocol):
    """Encloses the launches of one phase on the current stream; `count` images, prompts or rows go through it."""

    def __call__(self, phase: Phase, count: int, /) -> AbstractContextManager[object]: ...


def untimed(_phase: Phase, _count: int) -> AbstractContextManager[object]:
    return _NOT_TIMED
