"""The operations of a prefill beside its matrix products, in torch: for any device, and to test the Triton kernels.

Shapes: R rows (one prompt each) of T tokens, Q query heads, H key heads, W head width. A page holds P tokens: keys and
values are [pages, H, P, W].
"""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

from sightstream.pipeline.engine.slots.ops_torch import add_norm, rotated, silu_product, store_tokens

__all__ = ["add_norm", "attend_images", "attend_prompts", "rotate_store_all", "silu_product", "store_image"]


def rotate_store_all(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
    positions: torch.Tensor,
) -> None:
    """Rotate queries and keys of `qkv` [tokens, (Q + 2 H) W] in place to their `positions` [tokens].

    Keys and values are also stored at their positions in the pages, which `pages` names for each token.
    """
    _, heads, _, width = keys.shape
    every = qkv.view(len(qkv), -1, width)
    turning = every[:, :-heads]
    turning.copy_(rotated(turning, cos, sin))
    store_tokens(every[:, -2 * heads : -heads], every[:, -heads:], keys, values, pages, positions)


def attend_prompts(qkv: torch.Tensor, heads: int, mask: torch.Tensor) -> torch.Tensor:
    """Attend within each prompt: `qkv` [R, T, Q + 2 H, W], `mask` [R, T, T] is True where a token is seen.

    Returns [R, T, Q, W]. Every token sees at least one.
    """
    queries, keys, values = torch.split(qkv, [qkv.shape[2] - 2 * heads, heads, heads], dim=2)
    return _attend(queries, keys.transpose(1, 2), values.transpose(1, 2), mask)


def attend_images(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scales: tuple[torch.Tensor, torch.Tensor] | None,
    pages: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    """Attend with `queries` [R, T, Q, W] over the first `lengths` [R, T] tokens of each row's image; return the same.

    `pages` [R, N] names each row's pages in order. `scales`, two of [pages, H], multiply keys and values.
    """
    in_image = torch.arange(pages.shape[1] * keys.shape[2], device=keys.device) < lengths[..., None]

    def gather(pool: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
        gathered = pool[pages].to(queries.dtype)
        if scale is not None:
            gathered *= scale[pages][..., None, None].to(queries.dtype)
        tokens = gathered.transpose(1, 2).flatten(2, 3)
        return tokens.masked_fill(~in_image.any(dim=1)[:, None, :, None], 0)  # page 0 may hold anything

    key_scales, value_scales = scales or (None, None)
    return _attend(queries, gather(keys, key_scales), gather(values, value_scales), in_image)


def store_image(
    projected: torch.Tensor,
    weight: torch.Tensor,
    eps: float,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
) -> None:
    """Norm the keys of `projected` [tiles, P, 2 H W], keys before values, and fill the tiles' `pages` [tiles]."""
    _, heads, _, width = keys.shape
    new_keys, new_values = projected.view(*projected.shape[:2], 2, heads, width).permute(2, 0, 3, 1, 4)
    keys[pages], values[pages] = add_norm(new_keys, None, None, weight, eps), new_values


def _attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Query heads that share a key head become further tokens of one head, so that no key is copied."""
    rows, tokens, query_heads, width = queries.shape
    group = query_heads // keys.shape[1]
    packed = queries.transpose(1, 2).reshape(rows, keys.shape[1], group * tokens, width)
    out = scaled_dot_product_attention(packed, keys, values, attn_mask=mask[:, None].repeat(1, 1, group, 1))
    return out.reshape(rows, query_heads, tokens, width).transpose(1, 2)
