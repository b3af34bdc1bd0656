"""Replaces two costly parts of the text model's forward pass: norms in one pass, attention without copied keys."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

ATTENTION = "sightstream_text"


def patch_attention_and_norms(text_model: Any, ops: ModuleType) -> None:
    """Replace the attention and every RMSNorm of a transformers text model, in place.

    From then on its forward passes must bring their own masks, as a prefill does.
    """
    AttentionInterface.register(ATTENTION, _attend)
    text_model.config._attn_implementation = ATTENTION
    for module in text_model.modules():
        if type(module).__name__ == "MllamaTextRMSNorm":
            module.forward = partial(_norm, ops, module.weight, module.variance_epsilon)


def _norm(ops: ModuleType, weight: torch.Tensor, eps: float, hidden_states: torch.Tensor) -> torch.Tensor:
    normed: torch.Tensor = ops.add_norm(hidden_states.contiguous(), None, None, weight, eps)
    return normed


def _attend(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """`query` [rows, query heads, tokens, width], `key` and `value` [rows, key heads, all tokens, width], `mask`
    [rows, 1, tokens, all tokens]; returns [rows, tokens, query heads, width].

    Query heads that share a key head become further tokens of one head, so that no key is copied.
    """
    rows, query_heads, tokens, width = query.shape
    group = query_heads // key.shape[1]
    packed = query.reshape(rows, key.shape[1], group * tokens, width)
    out = scaled_dot_product_attention(packed, key, value, attn_mask=mask.repeat(1, 1, group, 1))
    return out.reshape(rows, query_heads, tokens, width).transpose(1, 2), None
