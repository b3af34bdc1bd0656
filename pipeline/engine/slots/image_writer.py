"""Computes an image's keys and values for the text model's cross-attention, and stores them in its pages."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch

from sightstream.pipeline.engine.slots.kv_cache import KvCache, Layer
from sightstream.pipeline.engine.slots.text_model import Product, joined

JOINED_LAYERS = 4  # one product for all would need 0.2 GB for its result


class ImageWriter:
    """Knows the projections of every cross-attention layer. They depend on the image alone, not on a question.

    It joins the model's weights in place. `ops` is `prefill_ops_torch` or `prefill_ops_triton`.
    """

    def __init__(self, model: Any, ops: ModuleType) -> None:
        text = model.model.language_model
        crossing = [text.layers[index].cross_attn for index in sorted(text.config.cross_attention_layers)]
        self._ops, self._eps = ops, text.norm.variance_epsilon
        self._norms = [attention.k_norm.weight for attention in crossing]
        parts = range(0, len(crossing), JOINED_LAYERS)
        self._products = [_projections(crossing[first : first + JOINED_LAYERS]) for first in parts]

    def write(self, kv: KvCache, states: torch.Tensor, pages: torch.Tensor) -> None:
        """Fill `pages` [tiles] with the keys and values of `states` [tiles, tokens, hidden]."""
        size = 2 * kv.shape.heads * kv.shape.width
        layers = zip(kv.cross_layers, self._norms, strict=True)
        for product in self._products:
            for projected in torch.split(product(states), size, dim=-1):
                self._store(*next(layers), projected, pages)

    def _store(self, layer: Layer, norm: torch.Tensor, projected: torch.Tensor, pages: torch.Tensor) -> None:
        if layer.scales is None:
            self._ops.store_image(projected, norm, self._eps, layer.keys, layer.values, pages)
            return
        _, heads, _, width = layer.keys.shape
        keys, values = projected.view(*projected.shape[:2], 2, heads, width).permute(2, 0, 3, 1, 4)
        layer.store_scaled(pages, self._ops.add_norm(keys.contiguous(), None, None, norm, self._eps), values)


def _projections(attentions: Sequence[Any]) -> Product:
    """Return one product for all keys and values, [hidden] to [layers * (keys, values)]."""
    return joined([product for attention in attentions for product in (attention.k_proj, attention.v_proj)])
