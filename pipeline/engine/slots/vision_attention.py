"""Computes the vision model's attention without a mask of tokens x tokens, which fast kernels don't accept.

The mask says: a token of padding may not attend to padding. All others attend to everything, padding too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

log = logging.getLogger(__name__)

Attention = Callable[..., torch.Tensor]

MAX_UNFUSED_QUERIES = 128  # more are worth a fused kernel
_names = count()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Indices of an image's tokens and of those that only pad it; `mask` is True for the former."""

    image: torch.Tensor
    padding: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def of(cls, tiles: int, max_tiles: int, patches: int, device: torch.device) -> Tokens:
        """Each tile's `patches` are followed by padding up to a multiple of 8."""
        mask = torch.zeros((max_tiles, -(-patches // 8) * 8), dtype=torch.bool, device=device)
        mask[:tiles, :patches] = True
        mask = mask.flatten()
        return cls(mask.nonzero()[:, 0], (~mask).nonzero()[:, 0], mask)


class VisionAttention:
    """Replaces the attention of all layers of a vision model, for one image at a time.

    The caller must set `tokens` before it calls the model.
    """

    def __init__(self, vision_model: Any) -> None:
        self.tokens: Tokens
        self._attention = fastest_attention(vision_model.device, vision_model.dtype)
        self._attend_masked = _attend_masked_for(vision_model.device, vision_model.dtype)
        name = f"sightstream_vision_{next(_names)}"
        AttentionInterface.register(name, self._attend)
        vision_model.config._attn_implementation = name

    def _attend(
        self,
        _module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        _mask: torch.Tensor | None,
        **_: object,
    ) -> tuple[torch.Tensor, None]:
        """Attend over [1, heads, tokens, width] each; return [1, tokens, heads, width]."""
        tokens = self.tokens
        if len(tokens.padding) <= MAX_UNFUSED_QUERIES:
            out = self._attention(query, key, value)
            self._attend_masked(query, key, value, tokens.padding, tokens.mask, out)
        else:
            out = torch.empty_like(query)
            out[:, :, tokens.image] = self._attention(query[:, :, tokens.image], key, value)
            padding_to_image = (query[:, :, tokens.padding], key[:, :, tokens.image], value[:, :, tokens.image])
            out[:, :, tokens.padding] = self._attention(*padding_to_image)
        return out.transpose(1, 2), None


def fastest_attention(device: torch.device, dtype: torch.dtype) -> Attention:
    """Return an attention over [1, heads, tokens, width]: FlashAttention 4 where it works, else torch's own.

    FlashAttention 4 needs a Hopper GPU, half precision, and its package.
    """
    hopper = device.type == "cuda" and torch.cuda.get_device_capability(device) == (9, 0)
    if not hopper or dtype == torch.float32:
        return scaled_dot_product_attention
    try:
        from flash_attn.cute import flash_attn_func

        flash_attn_func(*torch.zeros((3, 1, 128, 1, 80), dtype=dtype, device=device))
    except ImportError:
        return scaled_dot_product_attention
    except Exception:  # it compiles itself when it is called, so much can fail
        log.warning("FlashAttention 4 is installed but does not work; using torch's own attention", exc_info=True)
        return scaled_dot_product_attention

    def attention(*states: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = flash_attn_func(*(part.transpose(1, 2) for part in states))[0].transpose(1, 2)
        return out

    return attention


def _attend_masked_for(device: torch.device, dtype: torch.dtype) -> Callable[..., None]:
    """Return `attend_masked`, or its kernel, whose products are not exact in float32."""
    if device.type != "cuda" or dtype == torch.float32:
        return attend_masked
    from sightstream.pipeline.engine.slots import vision_ops_triton

    return vision_ops_triton.attend_masked


def attend_masked(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    queries: torch.Tensor,
    mask: torch.Tensor,
    out: torch.Tensor,
) -> None:
    """Let `queries`, a few tokens, attend where `mask` [tokens] is True; write their rows of `out`.

    States are [1, heads, tokens, width]. In plain products: a fused kernel would run them on one processor per head.
    """
    states = query[:, :, queries] * query.shape[-1] ** -0.5
    scores: torch.Tensor = states @ key.transpose(2, 3)
    out[:, :, queries] = scores.masked_fill_(~mask, -torch.inf).softmax(dim=-1) @ value
