"""Runs the prompts of a group through Mllama's text model: their keys and values go to pages, images are read there.

As in `text_decoder.py`, weights and order of operations are those of the model's own forward pass, which would launch
three times as many kernels and copy the images' keys and values twice in each layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch

from sightstream.pipeline.engine.slots.kv_cache import KvCache, Layer
from sightstream.pipeline.engine.slots.prefill_inputs import PrefillInputs
from sightstream.pipeline.engine.slots.text_model import Block, TextModel


class TextPrefill:
    """`ops` is `prefill_ops_torch` or `prefill_ops_triton`."""

    def __init__(self, text: TextModel, ops: ModuleType) -> None:
        self._text, self._ops = text, ops

    def hidden(self, inputs: PrefillInputs, kv: KvCache) -> torch.Tensor:
        """Store keys and values of all tokens; return hidden states [rows, tokens, width], after the last norm."""
        text, ops, eps = self._text, self._ops, self._text.eps
        hidden = text.embed(inputs.tokens).flatten(0, 1)
        tokens = _Tokens.of(text, hidden, inputs, kv.shape.tile_tokens)
        self_layers, cross_layers = iter(kv.self_layers), iter(kv.cross_layers)
        change, gate = None, None
        for block in text.blocks:
            projected = block.into(ops.add_norm(hidden, change, gate, block.norm, eps))
            if block.cross:
                attended = self._attend_images(projected, tokens, block, next(cross_layers))
            else:
                attended = self._attend_prompts(projected, tokens, next(self_layers))
            change, gate = block.out(attended), block.attention_gate
            normed = ops.add_norm(hidden, change, gate, block.mlp_norm, eps)
            change, gate = block.down(ops.silu_product(block.gate_up(normed))), block.mlp_gate
            if block.cross:
                change *= tokens.sees_image
        last: torch.Tensor = ops.add_norm(hidden, change, gate, text.norm, eps)
        return last.view(*inputs.tokens.shape, -1)

    def _attend_prompts(self, qkv: torch.Tensor, tokens: _Tokens, layer: Layer) -> torch.Tensor:
        targets = (layer.keys, layer.values, tokens.pages, tokens.positions)
        self._ops.rotate_store_all(qkv, tokens.cos, tokens.sin, *targets)
        heads = self._text.heads(qkv).view(*tokens.rows, -1, self._text.width)
        attended: torch.Tensor = self._ops.attend_prompts(heads, layer.keys.shape[1], tokens.text_mask)
        return attended.reshape(len(qkv), -1)

    def _attend_images(self, queries: torch.Tensor, tokens: _Tokens, block: Block, layer: Layer) -> torch.Tensor:
        heads = self._text.heads(queries).view(*tokens.rows, -1, self._text.width)
        normed = self._ops.add_norm(heads, None, None, block.query_norm, self._text.eps)
        pool = (layer.keys, layer.values, layer.scales)
        attended: torch.Tensor = self._ops.attend_images(normed, *pool, tokens.tile_pages, tokens.image_lengths)
        return attended.reshape(len(queries), -1)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What all layers need of the tokens, computed once. `rows` are the sizes [rows, tokens] of the prompts."""

    rows: tuple[int, int]
    cos: torch.Tensor
    sin: torch.Tensor
    positions: torch.Tensor
    pages: torch.Tensor
    text_mask: torch.Tensor
    tile_pages: torch.Tensor
    image_lengths: torch.Tensor
    sees_image: torch.Tensor

    @classmethod
    def of(cls, text: TextModel, hidden: torch.Tensor, inputs: PrefillInputs, tile_tokens: int) -> _Tokens:
        rows, tokens = inputs.tokens.shape
        positions = inputs.positions.flatten()
        cos, sin = (part[0] for part in text.rotary(hidden, positions[None]))
        return cls(
            rows=(rows, tokens),
            cos=cos,
            sin=sin,
            positions=positions,
            pages=inputs.pages_of_tokens,
            text_mask=inputs.text_mask[:, 0],
            tile_pages=inputs.tile_pages,
            image_lengths=inputs.image_lengths(tile_tokens),
            sees_image=inputs.sees_image.view(-1, 1).to(hidden.dtype),
        )
