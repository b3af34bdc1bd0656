"""The vision model's attention without a mask of tokens x tokens, which fast kernels don't take.

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

FEW = 128  # queries: more are worth a fused kernel
_names = count()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Indices of the tokens of an image and of those that only pad it; `mask` is True for the former."""

    there: torch.Tensor
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
    """Installed in a vision model, it does the attention of all its layers, one image at a time.

    `tokens` has to be set before the model is called.
    """

    def __init__(self, vision_model: Any) -> None:
        self.tokens: Tokens
        self._attention = fastest(vision_model.device, vision_model.dtype)
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
        """[1, heads, tokens, width] each; returns [1, tokens, heads, width]."""
        tokens = self.tokens
        if len(tokens.padding) <= FEW:
            out = self._attention(query, key, value)
            out[:, :, tokens.padding] = _few(query[:, :, tokens.padding], key, value, tokens.mask)
        else:
            out = torch.empty_like(query)
            out[:, :, tokens.there] = self._attention(query[:, :, tokens.there], key, value)
            shown = (query[:, :, tokens.padding], key[:, :, tokens.there], value[:, :, tokens.there])
            out[:, :, tokens.padding] = self._attention(*shown)
        return out.transpose(1, 2), None


def fastest(device: torch.device, dtype: torch.dtype) -> Attention:
    """Over [1, heads, tokens, width]: FlashAttention 4 on a Hopper GPU where it is installed and works, else
    torch's own."""
    hopper = device.type == "cuda" and torch.cuda.get_device_capability(device) == (9, 0)
    if not hopper or dtype == torch.float32:
        return scaled_dot_product_attention
    try:
        from flash_attn.cute import flash_attn_func

        flash_attn_func(*torch.zeros((3, 1, 128, 1, 80), dtype=dtype, device=device))
    except ImportError:
        return scaled_dot_product_attention
    except Exception:  # it compiles itself when it is called: there is much that can be wrong with it
        log.warning("FlashAttention 4 is installed but does not work; going on with torch's own", exc_info=True)
        return scaled_dot_product_attention

    def attention(*states: torch.Tensor) -> torch.Tensor:
        return flash_attn_func(*(part.transpose(1, 2) for part in states))[0].transpose(1, 2)

    return attention


def _few(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Masked attention of a few queries, in plain products: a fused kernel gives each few queries one processor."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    return scores.masked_fill_(~mask, -torch.inf).softmax(dim=-1) @ value
