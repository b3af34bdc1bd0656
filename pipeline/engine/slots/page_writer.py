"""Keys and values go to their pages while the model computes them."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache

from sightstream.pipeline.engine.slots.kv_cache import KvCache, Layer
from sightstream.pipeline.engine.slots.prefill_inputs import PrefillInputs


class PageWriter(Cache):
    """Given to the model as its cache for one forward pass; to the model it is always empty."""

    def __init__(self, kv: KvCache, table: PrefillInputs, cross_layers: list[int]) -> None:
        super().__init__(layers=[])
        self._table = table
        self._crossing = dict(zip(cross_layers, kv.cross_layers, strict=True))
        indices = range(len(kv.self_layers) + len(kv.cross_layers))
        selves = [index for index in indices if index not in self._crossing]
        self._selves = dict(zip(selves, kv.self_layers, strict=True))
        self._tile_pages = table.tile_pages.flatten()
        pages, places = table.token_pages
        self._where = pages.flatten(), slice(None), places.flatten()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[rows, heads, tokens, width] each, which come back as they are."""
        if layer_idx in self._crossing:
            self._store_tiles(self._crossing[layer_idx], key_states, value_states)
        else:
            layer = self._selves[layer_idx]
            layer.keys[self._where] = key_states.transpose(1, 2).flatten(0, 1)
            layer.values[self._where] = value_states.transpose(1, 2).flatten(0, 1)
        return key_states, value_states

    def _store_tiles(self, layer: Layer, *states: torch.Tensor) -> None:
        """All tiles lie one after the other."""
        split = (self._table.max_tiles, -1)
        keys, values = (part.unflatten(2, split).transpose(1, 2).flatten(0, 1) for part in states)
        layer.store(self._tile_pages, keys, values)
