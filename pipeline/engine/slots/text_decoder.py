"""Runs one decoding step of Mllama's text model: a token for every row, over keys and values in pages.

The weights and the order of operations are those of the model's own forward pass. Three things differ: keys and values
are in pages, matrix products with the same input are made as one, and small operations are fused.
"""

from __future__ import annotations

from types import ModuleType

import torch

from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.kv_cache import KvCache, Layer
from sightstream.pipeline.engine.slots.text_model import TextModel


class TextDecoder:
    """`ops` is `ops_torch` or `ops_triton`."""

    def __init__(self, text: TextModel, ops: ModuleType) -> None:
        self._text, self._ops = text, ops

    def logits(self, inputs: DecodeInputs, kv: KvCache) -> torch.Tensor:
        """Store keys and values of each row's newest token; return logits [rows, vocabulary] for the next one."""
        text, ops, eps = self._text, self._ops, self._text.eps
        hidden = text.embed(inputs.tokens)
        cos, sin = (part[:, 0] for part in text.rotary(hidden, inputs.positions[:, None]))
        lengths = inputs.positions + 1
        cross_lengths = (inputs.tiles * kv.shape.tile_tokens).clamp(min=1)  # softmax needs one token
        self_layers, cross_layers = iter(kv.self_layers), iter(kv.cross_layers)
        change, gate = None, None
        for block in text.blocks:
            projected = block.into(ops.add_norm(hidden, change, gate, block.norm, eps))
            if block.cross:
                queries = ops.add_norm(text.heads(projected), None, None, block.query_norm, eps)
                attended = self._attend(queries, next(cross_layers), inputs.tile_pages, cross_lengths)
            else:
                layer = next(self_layers)
                targets = (layer.keys, layer.values, inputs.pages, inputs.positions)
                queries = ops.rotate_store(projected, cos, sin, *targets)
                attended = self._attend(queries, layer, inputs.pages, lengths)
            change, gate = block.out(attended), block.attention_gate
            normed = ops.add_norm(hidden, change, gate, block.mlp_norm, eps)
            change, gate = block.down(ops.silu_product(block.gate_up(normed))), block.mlp_gate
        return text.head(ops.add_norm(hidden, change, gate, text.norm, eps))

    def _attend(self, queries: torch.Tensor, layer: Layer, pages: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self._ops.attend(queries, layer.keys, layer.values, layer.scales, pages, lengths)
        return attended.view(queries.shape[0], -1)
