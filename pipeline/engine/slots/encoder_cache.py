"""Encoded images, kept for further questions about the same image."""

from __future__ import annotations

from collections import OrderedDict

import torch


class EncoderCache:
    """At most `limit` bytes, the longest unused go first. An image without a key is never kept."""

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._states: OrderedDict[str, torch.Tensor] = OrderedDict()

    def get(self, key: str | None) -> torch.Tensor | None:
        if key is None or key not in self._states:
            return None
        self._states.move_to_end(key)
        return self._states[key]

    def keep(self, key: str | None, states: torch.Tensor) -> None:
        """A copy of them."""
        if key is None or key in self._states or states.nbytes > self._limit:
            return
        self._states[key] = states.clone()
        self._used += states.nbytes
        while self._used > self._limit:
            _, oldest = self._states.popitem(last=False)
            self._used -= oldest.nbytes

    def clear(self) -> None:
        self._states.clear()
        self._used = 0
