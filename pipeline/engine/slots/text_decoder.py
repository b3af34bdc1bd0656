"""Runs one decoding step of Mllama's text model: a token for every row, over keys and values in pages.

The weights and the order of operations are those of the model's own forward pass. Three things differ: keys and values
are in pages, matrix products with the same input are made as one, and small operations are fused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.kv_cache import KvCache, Layer

Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Block:
    """A decoder layer. `into` projects to queries (cross-attention) or to queries, keys and values (self-attention)."""

    cross: bool
    norm: torch.Tensor
    into: Product
    query_norm: torch.Tensor | None
    out: Product
    attention_gate: torch.Tensor | None
    mlp_norm: torch.Tensor
    gate_up: Product
    down: Product
    mlp_gate: torch.Tensor | None


class TextDecoder:
    """`ops` is `ops_torch` or `ops_triton`. It joins the model's weights in place; the model keeps working."""

    def __init__(self, model: Any, ops: ModuleType) -> None:
        text = model.model.language_model
        self._ops = ops
        self._eps = text.norm.variance_epsilon
        self._width = text.config.hidden_size // text.config.num_attention_heads
        self._embed, self._rotary = text.embed_tokens, text.rotary_emb
        self._blocks = [_block(layer) for layer in text.layers]
        self._norm, self._head = text.norm.weight, model.lm_head

    def logits(self, inputs: DecodeInputs, kv: KvCache) -> torch.Tensor:
        """Store keys and values of each row's newest token; return logits [rows, vocabulary] for the next one."""
        hidden = self._embed(inputs.tokens)
        cos, sin = (part[:, 0] for part in self._rotary(hidden, inputs.positions[:, None]))
        lengths = inputs.positions + 1
        cross_lengths = (inputs.tiles * kv.shape.tile_tokens).clamp(min=1)  # softmax needs one token
        self_layers, cross_layers = iter(kv.self_layers), iter(kv.cross_layers)
        change, gate = None, None
        for block in self._blocks:
            normed = self._ops.add_norm(hidden, change, gate, block.norm, self._eps)
            projected = block.into(normed)
            if block.cross:
                queries = self._cross_queries(projected, block)
                attended = self._attend(queries, next(cross_layers), inputs.tile_pages, cross_lengths)
            else:
                layer = next(self_layers)
                targets = (layer.keys, layer.values, inputs.pages, inputs.positions)
                queries = self._ops.rotate_store(projected, cos, sin, *targets)
                attended = self._attend(queries, layer, inputs.pages, lengths)
            change, gate = block.out(attended), block.attention_gate
            normed = self._ops.add_norm(hidden, change, gate, block.mlp_norm, self._eps)
            change, gate = block.down(self._ops.silu_product(block.gate_up(normed))), block.mlp_gate
        logits: torch.Tensor = self._head(self._ops.add_norm(hidden, change, gate, self._norm, self._eps))
        return logits

    def _cross_queries(self, projected: torch.Tensor, block: _Block) -> torch.Tensor:
        heads = projected.view(projected.shape[0], -1, self._width)
        normed: torch.Tensor = self._ops.add_norm(heads, None, None, block.query_norm, self._eps)
        return normed

    def _attend(self, queries: torch.Tensor, layer: Layer, pages: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self._ops.attend(queries, layer.keys, layer.values, layer.scales, pages, lengths)
        return attended.view(queries.shape[0], -1)


def _block(layer: Any) -> _Block:
    cross = hasattr(layer, "cross_attn")
    attention = layer.cross_attn if cross else layer.self_attn
    into = [attention.q_proj] if cross else [attention.q_proj, attention.k_proj, attention.v_proj]
    return _Block(
        cross=cross,
        norm=layer.input_layernorm.weight,
        into=joined(into),
        query_norm=attention.q_norm.weight if cross else None,
        out=attention.o_proj,
        attention_gate=layer.cross_attn_attn_gate.tanh() if cross else None,
        mlp_norm=layer.post_attention_layernorm.weight,
        gate_up=joined([layer.mlp.gate_proj, layer.mlp.up_proj]),
        down=layer.mlp.down_proj,
        mlp_gate=layer.cross_attn_mlp_gate.tanh() if cross else None,
    )


def joined(layers: Sequence[nn.Module]) -> Product:
    """Return one product for layers with the same input. Unquantized layers become views of its weights."""
    if len(layers) == 1:
        return layers[0]
    if any(type(layer) is not nn.Linear or layer.bias is not None for layer in layers):
        return lambda x: torch.cat([layer(x) for layer in layers], dim=-1)
    weights = [layer.get_parameter("weight").detach() for layer in layers]
    whole = torch.cat(weights)
    for layer, part in zip(layers, torch.split(whole, [len(weight) for weight in weights]), strict=True):
        layer.weight = nn.Parameter(part, requires_grad=False)
    return partial(functional.linear, weight=whole)
