"""Stands in for the model's own cache during a prefill: stores the text's keys and values, and reads the images'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sightstream.pipeline.engine.slots.kv_cache import KvCache, Layer
from sightstream.pipeline.engine.slots.prefill_inputs import PrefillInputs

if TYPE_CHECKING:

    class Cache:
        """transformers' own, which ships no types."""

        layers: list[Any]

        def __init__(self, layers: list[Any]) -> None: ...

else:
    from transformers.cache_utils import Cache


@dataclass(frozen=True, slots=True)
class _Image:
    """A cross-attention layer's keys and values of each row's image, [rows, heads, tokens, width], when they are read.

    `pages` [rows, tiles] holds them.
    """

    layer: Layer
    pages: torch.Tensor
    dtype: torch.dtype

    @property
    def keys(self) -> torch.Tensor:
        return self.layer.load("keys", self.pages, self.dtype)

    @property
    def values(self) -> torch.Tensor:
        return self.layer.load("values", self.pages, self.dtype)


class PrefillCache(Cache):
    """Serves one forward pass. To the model it holds the images' keys and values, and no text."""

    def __init__(self, kv: KvCache, inputs: PrefillInputs, cross_layers: frozenset[int]) -> None:
        text, images = iter(kv.self_layers), iter(kv.cross_layers)
        indices = range(len(kv.self_layers) + len(kv.cross_layers))
        tiles, dtype = inputs.tile_pages, kv.shape.dtype
        super().__init__([_Image(next(images), tiles, dtype) if n in cross_layers else next(text) for n in indices])
        pages, indices_in_page = inputs.token_pages
        self._index = pages.flatten(), slice(None), indices_in_page.flatten()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return that there is something: the model then reads the images from here instead of computing them."""
        return 1

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store keys and values of text, [rows, heads, tokens, width], and return them unchanged."""
        layer = self.layers[layer_idx]
        layer.keys[self._index] = key_states.transpose(1, 2).flatten(0, 1)
        layer.values[self._index] = value_states.transpose(1, 2).flatten(0, 1)
        return key_states, value_states
