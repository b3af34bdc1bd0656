"""Computes an image's keys and values for the text model's cross-attention, and stores them in its pages."""

from __future__ import annotations

from typing import Any

import torch

from sightstream.pipeline.engine.slots.kv_cache import KvCache


class ImageWriter:
    """Knows the projections of every cross-attention layer. They depend on the image alone, not on a question."""

    def __init__(self, model: Any) -> None:
        text = model.model.language_model
        self._attentions = [text.layers[index].cross_attn for index in sorted(text.config.cross_attention_layers)]

    def write(self, kv: KvCache, states: torch.Tensor, pages: torch.Tensor) -> None:
        """Fill `pages` [tiles] with the keys and values of `states` [tiles, tokens, hidden]."""
        for attention, layer in zip(self._attentions, kv.cross_layers, strict=True):
            keys, values = (
                projected(states).unflatten(-1, (kv.shape.heads, kv.shape.width)).transpose(1, 2)
                for projected in (attention.k_proj, attention.v_proj)
            )
            layer.store(pages, attention.k_norm(keys), values)
