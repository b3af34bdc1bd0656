"""The text model's weights as decoding and prefilling use them: products that share an input are made as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Block:
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


@dataclass(frozen=True, slots=True)
class TextModel:
    """`width` is that of an attention head, `eps` what the norms add to a variance."""

    embed: Product
    rotary: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    blocks: list[Block]
    norm: torch.Tensor
    head: Product
    eps: float
    width: int

    @classmethod
    def of(cls, model: Any) -> TextModel:
        """Join the weights of an Mllama model in place. The model keeps working; joining it again takes more memory."""
        text = model.model.language_model
        return cls(
            embed=text.embed_tokens,
            rotary=text.rotary_emb,
            blocks=[_block(layer) for layer in text.layers],
            norm=text.norm.weight,
            head=model.lm_head,
            eps=text.norm.variance_epsilon,
            width=text.config.hidden_size // text.config.num_attention_heads,
        )

    def heads(self, projected: torch.Tensor) -> torch.Tensor:
        """Return [rows, heads, width] of [rows, heads * width]."""
        return projected.view(projected.shape[0], -1, self.width)


def _block(layer: Any) -> Block:
    cross = hasattr(layer, "cross_attn")
    attention = layer.cross_attn if cross else layer.self_attn
    into = [attention.q_proj] if cross else [attention.q_proj, attention.k_proj, attention.v_proj]
    return Block(
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
