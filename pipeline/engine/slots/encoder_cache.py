"""Encoded images, cached for further questions about the same image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import torch


class EncoderCache:
    """Holds at most `limit_bytes` and evicts the least recently used. An image without a key is never cached."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes, self._used_bytes = limit_bytes, 0
        self._states: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def get(self, key: Hashable | None) -> torch.Tensor | None:
        if key is None or key not in self._states:
            return None
        self._states.move_to_end(key)
        return self._states[key]

    def put(self, key: Hashable | None, states: torch.Tensor) -> None:
        """Cache a copy of the states, unless it has no key or is larger than the whole cache."""
        if key is None or key in self._states or states.nbytes > self._limit_bytes:
            return
        self._states[key] = states.clone()
        self._used_bytes += states.nbytes
        while self._used_bytes > self._limit_bytes:
            _, oldest = self._states.popitem(last=False)
            self._used_bytes -= oldest.nbytes

    def clear(self) -> None:
        self._states.clear()
        self._used_bytes = 0
