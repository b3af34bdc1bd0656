"""The operations of a decode step beside its matrix products, in torch: for any device, and to test `ops_triton.py`.

Shapes: R rows (one token each), Q query heads, H key heads, W head width. A page holds P tokens of one row: keys and
values are [pages, H, P, W].
"""

from __future__ import annotations

import torch
from torch.nn import functional


def attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scales: tuple[torch.Tensor, torch.Tensor] | None,
    pages: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    """Attend with `queries` [R, Q, W] over each row's first `lengths` [R] tokens; return [R, Q, W].

    `pages` [R, N] names each row's pages in order. `scales`, two of [pages, H], multiply keys and values.
    """
    rows, query_heads, width = queries.shape
    _, heads, page, _ = keys.shape
    used = -(-int(lengths.max()) // page)
    in_row = torch.arange(used * page, device=queries.device) < lengths[:, None]

    def gather(pool: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
        gathered = pool[pages[:, :used].long()].to(queries.dtype)
        if scale is not None:
            gathered *= scale[pages[:, :used].long()][..., None, None].to(queries.dtype)
        tokens = gathered.transpose(1, 2).reshape(rows, heads, used * page, width)
        return tokens.masked_fill(~in_row[:, None, :, None], 0)  # a former owner's NaN would pass any mask

    key_scales, value_scales = scales or (None, None)
    packed = queries.view(rows, heads, query_heads // heads, width)
    out = functional.scaled_dot_product_attention(
        packed, gather(keys, key_scales), gather(values, value_scales), attn_mask=in_row[:, None, None, :]
    )
    return out.reshape(rows, query_heads, width)


def add_norm(
    hidden: torch.Tensor, change: torch.Tensor | None, gate: torch.Tensor | None, weight: torch.Tensor, eps: float
) -> torch.Tensor:
    """Add `gate` * `change` to `hidden` in place; return its root-mean-square norm over the last dimension."""
    if change is not None:
        hidden += change if gate is None else gate * change
    wide = hidden.float()
    return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(hidden.dtype)


def rotate_store(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
    positions: torch.Tensor,
) -> torch.Tensor:
    """Rotate queries and keys of `qkv` [R, (Q + 2 H) W] to their `positions` [R]; return the queries [R, Q, W].

    `cos`, `sin`: [R, W]. Keys and values are stored at their positions in the rows' pages.
    """
    _, heads, _, width = keys.shape
    sizes = [qkv.shape[1] // width - 2 * heads, heads, heads]
    queries, key, value = torch.split(qkv.view(len(qkv), -1, width), sizes, dim=1)
    store_tokens(rotated(key, cos, sin), value, keys, values, pages, positions)
    return rotated(queries, cos, sin)


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate heads [R, heads, W] by their tokens' angles, [R, W] each."""
    low, high = x.chunk(2, dim=-1)
    return x * cos[:, None] + torch.cat((-high, low), dim=-1) * sin[:, None]


def store_tokens(
    key: torch.Tensor,
    value: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
    positions: torch.Tensor,
) -> None:
    """Store a `key` and a `value` [R, H, W] for each row, at its position in its pages."""
    page = keys.shape[2]
    index = pages.gather(1, (positions // page)[:, None].long())[:, 0].long(), slice(None), (positions % page).long()
    keys[index], values[index] = key, value


def silu_product(gate_up: torch.Tensor) -> torch.Tensor:
    """Multiply SiLU of the first half of [R, 2 N] by the second half; return [R, N]."""
    gate, up = gate_up.chunk(2, dim=-1)
    return functional.silu(gate) * up


def mask_logits(logits: torch.Tensor, rows: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Set to -inf, in place, what is not allowed in `rows` [n] of `logits` [R, V]; return the rest's logsumexp [n].

    `masks` [n, words] of int32 has a bit for each allowed token, the lowest bits first; tokens beyond it are not.
    """
    bits = masks[:, :, None] >> torch.arange(32, dtype=torch.int32, device=masks.device) & 1
    allowed = torch.zeros((len(rows), logits.shape[1]), dtype=torch.bool, device=logits.device)
    known = min(logits.shape[1], bits.shape[1] * 32)
    allowed[:, :known] = bits.flatten(1)[:, :known].bool()
    masked = logits[rows].masked_fill(~allowed, -torch.inf)
    logits[rows] = masked
    return masked.float().logsumexp(dim=-1)
