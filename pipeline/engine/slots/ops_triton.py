"""The Triton kernels of a decode step, loaded only with a CUDA device. `ops_torch.py` has the same operations in torch.

All are bound by memory: each reads its inputs once, in 16-byte pieces, and keeps intermediate values in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
import triton
import triton.language as tl


class _Kernel(Protocol):
    """Launches a kernel with `kernel[grid](arguments)`."""

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]: ...


jit: Callable[[Callable[..., Any]], _Kernel] = triton.jit  # typed here, because Triton ships no types

# Programs to cut an attention into: enough to fill any GPU several times over, so that the last wave costs little.
PROGRAMS = 2048
MAX_SPLITS = 32
QUERY_ROWS = 16  # the fewest that a matrix unit accepts
# Keys per block, warps, stages: measured, within 2 to 8 % of the memory's bandwidth.
SHAPE = (64, 2, 4)
FP8_SHAPE = (32, 2, 5)


@jit
def _attend(
    queries,
    keys,
    values,
    key_scales,
    value_scales,
    pages,
    page_stride,
    lengths,
    sums,
    weights,
    scale,
    GROUP: tl.constexpr,
    WIDTH: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
    SCALED: tl.constexpr,
):
    """One (row, key head, split): online softmax over the split's slice of the row's pages."""
    row, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    heads, splits = tl.num_programs(1), tl.num_programs(2)
    blocks_per_page: tl.constexpr = (PAGE + BLOCK - 1) // BLOCK
    length = tl.load(lengths + row)
    blocks = tl.cdiv(length, PAGE) * blocks_per_page
    split_blocks = tl.cdiv(blocks, splits)
    group, column, token = tl.arange(0, ROWS), tl.arange(0, WIDTH), tl.arange(0, BLOCK)
    in_group = group[:, None] < GROUP
    at = ((row * heads + head) * GROUP + group[:, None]) * WIDTH + column[None, :]
    query = tl.load(queries + at, mask=in_group, other=0.0)
    query = (query * (scale * 1.4426950408889634)).to(tl.float16 if SCALED else query.dtype)
    best = tl.full([ROWS], -1e30, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    mean = tl.zeros([ROWS, WIDTH], tl.float32)
    first, last = split * split_blocks, tl.minimum((split + 1) * split_blocks, blocks)
    # Two loops: the inner one is only pipelined when its loads don't depend on another load.
    for nth in range(first // blocks_per_page, tl.cdiv(last, blocks_per_page)):
        page = tl.load(pages + row * page_stride + nth).to(tl.int64) * heads + head
        start, end = nth * blocks_per_page, (nth + 1) * blocks_per_page
        used = tl.minimum(length - nth * PAGE, PAGE)
        key_scale = tl.load(key_scales + page) if SCALED else 1.0
        value_scale = tl.load(value_scales + page) if SCALED else 1.0
        for block in range(tl.maximum(first, start) - start, tl.minimum(last, end) - start):
            index = block * BLOCK + token
            in_page = index < used
            source = page * (PAGE * WIDTH) + index[:, None] * WIDTH + column[None, :]
            key = tl.load(keys + source, mask=in_page[:, None], other=0.0)
            value = tl.load(values + source, mask=in_page[:, None], other=0.0)
            if SCALED:
                key, value = key.to(tl.float16), value.to(tl.float16)
            score = tl.dot(query, tl.trans(key))
            if SCALED:
                score *= key_scale
            score = tl.where(in_page[None, :], score, -1e30)
            better = tl.maximum(best, tl.max(score, 1))
            part = tl.where(in_page[None, :], tl.exp2(score - better[:, None]), 0.0)
            fade = tl.exp2(best - better)
            total = total * fade + tl.sum(part, 1)
            if SCALED:
                part *= value_scale
            mean = tl.dot(part.to(value.dtype), value, mean * fade[:, None])
            best = better
    mean /= tl.maximum(total, 1e-30)[:, None]
    out = ((row * heads + head) * GROUP + group) * splits + split
    tl.store(sums + out[:, None] * WIDTH + column[None, :], mean, mask=in_group)
    tl.store(weights + out, best + tl.log2(tl.maximum(total, 1e-30)), mask=group < GROUP)


@jit
def _combine(sums, weights, out, splits, WIDTH: tl.constexpr, SPLITS: tl.constexpr):
    """One (row, query head): the splits' means, each weighted by its part of the softmax."""
    query = tl.program_id(0)
    split, column = tl.arange(0, SPLITS), tl.arange(0, WIDTH)
    exists = split < splits
    weight = tl.load(weights + query * splits + split, mask=exists, other=-1e30)
    fraction = tl.where(exists, tl.exp2(weight - tl.max(weight, 0)), 0.0)
    at = (query * splits + split[:, None]) * WIDTH + column[None, :]
    mean = tl.load(sums + at, mask=exists[:, None], other=0.0)
    mixed = tl.sum(mean * fraction[:, None], 0) / tl.sum(fraction, 0)
    tl.store(out + query * WIDTH + column, mixed.to(out.dtype.element_ty))


def attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scales: tuple[torch.Tensor, torch.Tensor] | None,
    pages: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    """Do `ops_torch.attend` with each page read once; query heads that share a key head form one product."""
    rows, query_heads, width = queries.shape
    _, heads, page, _ = keys.shape
    splits = max(1, min(MAX_SPLITS, PROGRAMS // (rows * heads)))
    sums = torch.empty((rows * query_heads, splits, width), dtype=torch.float32, device=queries.device)
    weights = torch.empty((rows * query_heads, splits), dtype=torch.float32, device=queries.device)
    key_scales, value_scales = scales or (lengths, lengths)
    block, warps, stages = SHAPE if scales is None else FP8_SHAPE
    _attend[(rows, heads, splits)](
        queries,
        keys,
        values,
        key_scales,
        value_scales,
        pages,
        pages.stride(0),
        lengths,
        sums,
        weights,
        width**-0.5,
        GROUP=query_heads // heads,
        WIDTH=width,
        PAGE=page,
        BLOCK=block,
        ROWS=max(QUERY_ROWS, triton.next_power_of_2(query_heads // heads)),
        SCALED=scales is not None,
        num_warps=warps,
        num_stages=stages,
    )
    out = torch.empty_like(queries)
    _combine[(rows * query_heads,)](
        sums, weights, out, splits, WIDTH=width, SPLITS=triton.next_power_of_2(splits), num_warps=2
    )
    return out


@jit
def _add_norm(
    hidden, change, gate, weight, out, eps, columns, ADD: tl.constexpr, GATED: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    in_row = column < columns
    at = row * columns + column
    x = tl.load(hidden + at, mask=in_row, other=0.0)
    if ADD:
        step = tl.load(change + at, mask=in_row, other=0.0)
        if GATED:
            step = (step.to(tl.float32) * tl.load(gate).to(tl.float32)).to(x.dtype)
        x = (x.to(tl.float32) + step.to(tl.float32)).to(x.dtype)
        tl.store(hidden + at, x, mask=in_row)
    wide = x.to(tl.float32)
    normed = (wide * tl.rsqrt(tl.sum(wide * wide, 0) / columns + eps)).to(x.dtype)
    scale = tl.load(weight + column, mask=in_row, other=0.0)
    tl.store(out + at, (normed.to(tl.float32) * scale.to(tl.float32)).to(x.dtype), mask=in_row)


def add_norm(
    hidden: torch.Tensor, change: torch.Tensor | None, gate: torch.Tensor | None, weight: torch.Tensor, eps: float
) -> torch.Tensor:
    """Do `ops_torch.add_norm` in one pass."""
    out = torch.empty_like(hidden)
    columns = hidden.shape[-1]
    block = triton.next_power_of_2(columns)
    _add_norm[(hidden.numel() // columns,)](
        hidden,
        hidden if change is None else change,
        weight if gate is None else gate,
        weight,
        out,
        eps,
        columns,
        ADD=change is not None,
        GATED=gate is not None,
        BLOCK=block,
        num_warps=max(1, min(8, block // 512)),
    )
    return out


@jit
def _rotate_store(
    qkv, cos, sin, positions, pages, page_stride, queries, keys, values, QUERY: tl.constexpr, HEADS: tl.constexpr,
    PAGE: tl.constexpr, HALF: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """One (row, head): rotates a query, rotates and stores a key, or stores a value.

    With KEEP, what is rotated also stays in `qkv`, and `queries` are not written.
    """
    row, head = tl.program_id(0), tl.program_id(1)
    half = tl.arange(0, HALF)
    at = (row.to(tl.int64) * (QUERY + 2 * HEADS) + head) * 2 * HALF + half
    low, high = tl.load(qkv + at), tl.load(qkv + at + HALF)
    if head < QUERY + HEADS:
        c, s = tl.load(cos + row * 2 * HALF + half), tl.load(sin + row * 2 * HALF + half)
        c, s, a, b = c.to(tl.float32), s.to(tl.float32), low.to(tl.float32), high.to(tl.float32)
        low, high = (a * c - b * s).to(low.dtype), (b * c + a * s).to(high.dtype)
        if KEEP:
            tl.store(qkv + at, low)
            tl.store(qkv + at + HALF, high)
    if head < QUERY:
        if not KEEP:
            query_at = (row * QUERY + head) * 2 * HALF + half
            tl.store(queries + query_at, low)
            tl.store(queries + query_at + HALF, high)
    else:
        position = tl.load(positions + row)
        page = tl.load(pages + row * page_stride + position // PAGE).to(tl.int64)
        which = (head - QUERY) % HEADS
        stored_at = ((page * HEADS + which) * PAGE + position % PAGE) * 2 * HALF + half
        if head < QUERY + HEADS:
            tl.store(keys + stored_at, low)
            tl.store(keys + stored_at + HALF, high)
        else:
            tl.store(values + stored_at, low)
            tl.store(values + stored_at + HALF, high)


def rotate_store(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
    positions: torch.Tensor,
) -> torch.Tensor:
    """Do `ops_torch.rotate_store` in one pass."""
    _, heads, _, width = keys.shape
    queries = qkv.new_empty((len(qkv), qkv.shape[1] // width - 2 * heads, width))
    launch_rotate_store(qkv, cos, sin, keys, values, pages, positions, queries)
    return queries


def launch_rotate_store(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
    positions: torch.Tensor,
    queries: torch.Tensor | None,
) -> None:
    """Write the rotated `queries`; without them, queries and keys are rotated in place."""
    _, heads, page, width = keys.shape
    query_heads = qkv.shape[1] // width - 2 * heads
    _rotate_store[(len(qkv), query_heads + 2 * heads)](
        qkv,
        cos,
        sin,
        positions,
        pages,
        pages.stride(0),
        qkv if queries is None else queries,
        keys,
        values,
        QUERY=query_heads,
        HEADS=heads,
        PAGE=page,
        HALF=width // 2,
        KEEP=queries is None,
        num_warps=1,
    )


@jit
def _silu_product(gate_up, out, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    in_row = column < columns
    gate = tl.load(gate_up + row * 2 * columns + column, mask=in_row, other=0.0)
    up = tl.load(gate_up + row * 2 * columns + columns + column, mask=in_row, other=0.0)
    wide = gate.to(tl.float32)
    acted = (wide / (1.0 + tl.exp(-wide))).to(gate.dtype)
    tl.store(out + row * columns + column, (acted.to(tl.float32) * up.to(tl.float32)).to(gate.dtype), mask=in_row)


def silu_product(gate_up: torch.Tensor) -> torch.Tensor:
    """Do `ops_torch.silu_product` in one pass."""
    rows, columns = gate_up.shape[0], gate_up.shape[1] // 2
    out = torch.empty((rows, columns), dtype=gate_up.dtype, device=gate_up.device)
    _silu_product[(rows, triton.cdiv(columns, 1024))](gate_up, out, columns, BLOCK=1024, num_warps=4)
    return out


@jit
def _mask_logits(
    logits, row_stride, columns, rows, masks, words, totals, BLOCK: tl.constexpr
):  # fmt: skip
    """One row: masks it, and sums exp of what is left, relative to the largest so far."""
    index = tl.program_id(0)
    row = tl.load(rows + index).to(tl.int64)
    largest, total = -float("inf"), 0.0
    for start in range(0, columns, BLOCK):
        column = start + tl.arange(0, BLOCK)
        in_row = column < columns
        word = column // 32
        bits = tl.load(masks + index.to(tl.int64) * words + word, mask=in_row & (word < words), other=0)
        allowed = ((bits >> (column % 32)) & 1) != 0
        at = logits + row * row_stride + column
        kept = tl.where(allowed, tl.load(at, mask=in_row & allowed, other=-float("inf")).to(tl.float32), -float("inf"))
        tl.store(at, kept.to(logits.dtype.element_ty), mask=in_row & (allowed == 0))
        higher = tl.maximum(largest, tl.max(kept))
        base = tl.where(higher == -float("inf"), 0.0, higher)
        total = total * tl.exp(largest - base) + tl.sum(tl.exp(kept - base))
        largest = higher
    tl.store(totals + index, largest + tl.log(total))


def mask_logits(logits: torch.Tensor, rows: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Do `ops_torch.mask_logits` in one pass."""
    totals = torch.empty(len(rows), dtype=torch.float32, device=logits.device)
    _mask_logits[(len(rows),)](
        logits, logits.stride(0), logits.shape[1], rows, masks, masks.shape[1], totals, BLOCK=4096, num_warps=8
    )
    return totals
