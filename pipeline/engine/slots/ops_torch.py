"""What a decode step does beside its matrix products, in plain torch: for any device, and the model of `ops_triton.py`.

Shapes: R rows (one token each), Q query heads, H key heads, W head width. A page holds P tokens of one row: keys and
values lie as [pages, H, P, W].
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
    """Softmax attention of `queries` [R, Q, W] over each row's first `lengths` [R] tokens; returns [R, Q, W].

    `pages` [R, N] names each row's pages in order. `scales`, two of [pages, H], multiply keys and values.
    """
    rows, query_heads, width = queries.shape
    _, heads, page, _ = keys.shape
    used = -(-int(lengths.max()) // page)
    there = torch.arange(used * page, device=queries.device) < lengths[:, None]

    def gather(pool: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
        found = pool[pages[:, :used].long()].to(queries.dtype)
        if scale is not None:
            found *= scale[pages[:, :used].long()][..., None, None].to(queries.dtype)
        tokens = found.transpose(1, 2).reshape(rows, heads, used * page, width)
        return tokens.masked_fill(~there[:, None, :, None], 0)  # a former owner's NaN would get through any mask

    key_scales, value_scales = scales or (None, None)
    packed = queries.view(rows, heads, query_heads // heads, width)
    out = functional.scaled_dot_product_attention(
        packed, gather(keys, key_scales), gather(values, value_scales), attn_mask=there[:, None, None, :]
    )
    return out.reshape(rows, query_heads, width)


def add_norm(
    hidden: torch.Tensor, change: torch.Tensor | None, gate: torch.Tensor | None, weight: torch.Tensor, eps: float
) -> torch.Tensor:
    """Adds `gate` * `change` to `hidden` in place; returns its root-mean-square norm over the last dimension."""
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
    """Turns queries and keys of `qkv` [R, (Q + 2 H) W] to their `positions` [R]; returns the queries [R, Q, W].

    `cos`, `sin`: [R, W]. Keys and values are stored at their places in the rows' pages.
    """
    rows = qkv.shape[0]
    _, heads, page, width = keys.shape
    queries, key, value = qkv.view(rows, -1, width).split((qkv.shape[1] // width - 2 * heads, heads, heads), dim=1)

    def turned(x: torch.Tensor) -> torch.Tensor:
        low, high = x.chunk(2, dim=-1)
        return x * cos[:, None] + torch.cat((-high, low), dim=-1) * sin[:, None]

    where = pages.gather(1, (positions // page)[:, None].long())[:, 0].long(), slice(None), (positions % page).long()
    keys[where], values[where] = turned(key), value
    return turned(queries)


def silu_product(gate_up: torch.Tensor) -> torch.Tensor:
    """[R, 2 N] to [R, N]: the first half through SiLU, times the second."""
    gate, up = gate_up.chunk(2, dim=-1)
    return functional.silu(gate) * up
