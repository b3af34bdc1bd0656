"""The Triton kernels of a prefill, loaded only with a CUDA device. `prefill_ops_torch.py` has the same in torch.

Queries of neighbouring tokens that share a key head form one product, so that each key is read once for all of them.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from sightstream.pipeline.engine.slots.ops_triton import add_norm, jit, launch_rotate_store, silu_product

__all__ = ["add_norm", "attend_images", "attend_prompts", "rotate_store_all", "silu_product", "store_image"]

QUERY_ROWS = 64  # of a product: tokens times the query heads of a key head
# Keys per block, warps, stages.
PROMPT_SHAPE = (64, 4, 2)
IMAGE_SHAPE = (64, 4, 2)
STORED_TOKENS = 32
LOG2_E = 1.4426950408889634


def rotate_store_all(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
    positions: torch.Tensor,
) -> None:
    """Do `prefill_ops_torch.rotate_store_all` in one pass."""
    launch_rotate_store(qkv, cos, sin, keys, values, pages, positions, None)


@triton.jit
def add_block(query, key, value, seen, scale, value_scale, best, total, mean):
    """Called by kernels: adds a block of keys to an online softmax."""
    score = tl.where(seen, tl.dot(query, tl.trans(key)) * scale, -1e30)
    better = tl.maximum(best, tl.max(score, 1))
    part = tl.where(seen, tl.exp2(score - better[:, None]), 0.0)
    fade = tl.exp2(best - better)
    mean = tl.dot((part * value_scale).to(value.dtype), value, mean * fade[:, None])
    return better, total * fade + tl.sum(part, 1), mean


@jit
def _attend_prompts(
    qkv, mask, out, tokens, scale,
    QUERY: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One (prompt, key head, block of queries): online softmax over the keys up to the block's last token."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    group: tl.constexpr = QUERY // HEADS
    stride: tl.constexpr = (QUERY + 2 * HEADS) * WIDTH
    first = tl.program_id(2) * ROWS
    query_row, column = first + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    token, query_head = query_row // group, head * group + query_row % group
    in_prompt = token < tokens
    start = row * tokens
    query_at = (start + token[:, None]) * stride + query_head[:, None] * WIDTH + column[None, :]
    query = tl.load(qkv + query_at, mask=in_prompt[:, None], other=0.0)
    best = tl.full([ROWS], -1e30, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    mean = tl.zeros([ROWS, WIDTH], tl.float32)
    for begin in range(0, tl.minimum(tokens, (first + ROWS - 1) // group + 1), BLOCK):
        other = begin + tl.arange(0, BLOCK)
        known = other < tokens
        key_at = (start + other[:, None]) * stride + (QUERY + head) * WIDTH + column[None, :]
        key = tl.load(qkv + key_at, mask=known[:, None], other=0.0)
        value = tl.load(qkv + key_at + HEADS * WIDTH, mask=known[:, None], other=0.0)
        mask_at = (start + token[:, None]) * tokens + other[None, :]
        seen = tl.load(mask + mask_at, mask=in_prompt[:, None] & known[None, :], other=0) != 0
        best, total, mean = add_block(query, key, value, seen, scale, 1.0, best, total, mean)
    mean /= tl.maximum(total, 1e-30)[:, None]
    out_at = ((start + token[:, None]) * QUERY + query_head[:, None]) * WIDTH + column[None, :]
    tl.store(out + out_at, mean.to(out.dtype.element_ty), mask=in_prompt[:, None])


def attend_prompts(qkv: torch.Tensor, heads: int, mask: torch.Tensor) -> torch.Tensor:
    """Do `prefill_ops_torch.attend_prompts`; `mask` lets no token see a later one."""
    rows, tokens, every, width = qkv.shape
    query_heads = every - 2 * heads
    out = qkv.new_empty((rows, tokens, query_heads, width))
    block, warps, stages = PROMPT_SHAPE
    _attend_prompts[(rows, heads, triton.cdiv(tokens * (query_heads // heads), QUERY_ROWS))](
        qkv,
        mask.view(torch.uint8),
        out,
        tokens,
        width**-0.5 * LOG2_E,
        QUERY=query_heads,
        HEADS=heads,
        WIDTH=width,
        ROWS=QUERY_ROWS,
        BLOCK=block,
        num_warps=warps,
        num_stages=stages,
    )
    return out


@jit
def _attend_images(
    queries, keys, values, key_scales, value_scales, pages, page_stride, lengths, out, tokens, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, PAGE: tl.constexpr, ROWS: tl.constexpr,
    BLOCK: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """One (prompt, key head, block of queries): online softmax over as much of the image as its longest query sees."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    query_row, column = tl.program_id(2) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    token, query_head = query_row // GROUP, head * GROUP + query_row % GROUP
    in_prompt = token < tokens
    at = ((row * tokens + token[:, None]) * (HEADS * GROUP) + query_head[:, None]) * WIDTH + column[None, :]
    query = tl.load(queries + at, mask=in_prompt[:, None], other=0.0)
    if SCALED:
        query = query.to(tl.float16)
    length = tl.load(lengths + row * tokens + token, mask=in_prompt, other=0)
    longest = tl.max(length, 0)
    best = tl.full([ROWS], -1e30, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    mean = tl.zeros([ROWS, WIDTH], tl.float32)
    # Two loops: the inner one is only pipelined when its loads don't depend on another load.
    for nth in range(0, tl.cdiv(longest, PAGE)):
        page = tl.load(pages + row * page_stride + nth).to(tl.int64) * HEADS + head
        key_scale = tl.load(key_scales + page) if SCALED else 1.0
        value_scale = tl.load(value_scales + page) if SCALED else 1.0
        left = length - nth * PAGE
        used = tl.minimum(longest - nth * PAGE, PAGE)
        for block in range(0, tl.cdiv(used, BLOCK)):
            index = block * BLOCK + tl.arange(0, BLOCK)
            in_page = index < used
            source = index[:, None] * WIDTH + column[None, :]
            key = tl.load(keys + page * (PAGE * WIDTH) + source, mask=in_page[:, None], other=0.0)
            value = tl.load(values + page * (PAGE * WIDTH) + source, mask=in_page[:, None], other=0.0)
            if SCALED:
                key, value = key.to(tl.float16), value.to(tl.float16)
            seen = in_page[None, :] & (index[None, :] < left[:, None])
            best, total, mean = add_block(query, key, value, seen, scale * key_scale, value_scale, best, total, mean)
    mean /= tl.maximum(total, 1e-30)[:, None]
    tl.store(out + at, mean.to(out.dtype.element_ty), mask=in_prompt[:, None])


def attend_images(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scales: tuple[torch.Tensor, torch.Tensor] | None,
    pages: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    """Do `prefill_ops_torch.attend_images` without a copy of the pages."""
    rows, tokens, query_heads, width = queries.shape
    _, heads, page, _ = keys.shape
    group = query_heads // heads
    out = torch.empty_like(queries)
    key_scales, value_scales = scales or (lengths, lengths)
    block, warps, stages = IMAGE_SHAPE
    _attend_images[(rows, heads, triton.cdiv(tokens * group, QUERY_ROWS))](
        queries,
        keys,
        values,
        key_scales,
        value_scales,
        pages,
        pages.stride(0),
        lengths,
        out,
        tokens,
        width**-0.5 * LOG2_E,
        HEADS=heads,
        GROUP=group,
        WIDTH=width,
        PAGE=page,
        ROWS=QUERY_ROWS,
        BLOCK=block,
        SCALED=scales is not None,
        num_warps=warps,
        num_stages=stages,
    )
    return out


@jit
def _store_image(
    projected, row_stride, weight, eps, keys, values, pages,
    HEADS: tl.constexpr, WIDTH: tl.constexpr, PAGE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One (tile, key head, block of tokens): norms the keys, and stores keys and values."""
    tile, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    token, column = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK), tl.arange(0, WIDTH)
    in_tile = token[:, None] < PAGE
    source = (tile * PAGE + token[:, None]) * row_stride + head * WIDTH + column[None, :]
    key = tl.load(projected + source, mask=in_tile, other=0.0)
    value = tl.load(projected + source + HEADS * WIDTH, mask=in_tile, other=0.0)
    wide = key.to(tl.float32)
    normed = (wide * tl.rsqrt(tl.sum(wide * wide, 1) / WIDTH + eps)[:, None]).to(key.dtype)
    scaled = normed.to(tl.float32) * tl.load(weight + column).to(tl.float32)[None, :]
    page = tl.load(pages + tile).to(tl.int64)
    target = ((page * HEADS + head) * PAGE + token[:, None]) * WIDTH + column[None, :]
    tl.store(keys + target, scaled.to(key.dtype), mask=in_tile)
    tl.store(values + target, value, mask=in_tile)


def store_image(
    projected: torch.Tensor,
    weight: torch.Tensor,
    eps: float,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
) -> None:
    """Do `prefill_ops_torch.store_image` in one pass."""
    _, heads, page, width = keys.shape
    _store_image[(len(pages), heads, triton.cdiv(page, STORED_TOKENS))](
        projected,
        projected.stride(1),
        weight,
        eps,
        keys,
        values,
        pages,
        HEADS=heads,
        WIDTH=width,
        PAGE=page,
        BLOCK=STORED_TOKENS,
        num_warps=4,
    )
