"""Writes keys and values to their pages while the model computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from sightstream.pipeline.engine.slots.kv_cache import KvCache, Layer
from sightstream.pipeline.engine.slots.prefill_inputs import PrefillInputs

if TYPE_CHECKING:

    class Cache:
        """transformers' own, which ships no types."""

        def __init__(self, layers: list[object]) -> None: ...

else:
    from transformers.cache_utils import Cache


class PageWriter(Cache):
    """Stands in for the model's own cache during one forward pass; to the model it is always empty."""

    def __init__(self, kv: KvCache, inputs: PrefillInputs, cross_layers: list[int]) -> None:
        super().__init__(layers=[])
        self._inputs = inputs
        self._cross_layers = dict(zip(cross_layers, kv.cross_layers, strict=True))
        indices = range(len(kv.self_layers) + len(kv.cross_layers))
        self_indices = [index for index in indices if index not in self._cross_layers]
        self._self_layers = dict(zip(self_indices, kv.self_layers, strict=True))
        self._tile_pages = inputs.tile_pages.flatten()
        pages, indices_in_page = inputs.token_pages
        self._index = pages.flatten(), slice(None), indices_in_page.flatten()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store keys and values [rows, heads, tokens, width] and return them unchanged."""
        if layer_idx in self._cross_layers:
            self._store_tiles(self._cross_layers[layer_idx], key_states, value_states)
        else:
            layer = self._self_layers[layer_idx]
            layer.keys[self._index] = key_states.transpose(1, 2).flatten(0, 1)
            layer.values[self._index] = value_states.transpose(1, 2).flatten(0, 1)
        return key_states, value_states

    def _store_tiles(self, layer: Layer, *states: torch.Tensor) -> None:
        """Store the tiles of every image; the model has them one after the other."""
        split = (self._inputs.max_tiles, -1)
        keys, values = (torch.unflatten(part, 2, split).transpose(1, 2).flatten(0, 1) for part in states)
        layer.store(self._tile_pages, keys, values)
