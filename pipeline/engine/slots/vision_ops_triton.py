"""The Triton kernel for the few queries of a vision model that need a mask, loaded only with a CUDA device."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from sightstream.pipeline.engine.slots.ops_triton import QUERY_ROWS, jit
from sightstream.pipeline.engine.slots.prefill_ops_triton import LOG2_E, add_block

SPLITS = 16  # of the keys: the few queries of one head would keep one processor busy, and leave the others idle
BLOCK = 64


@jit
def _attend_masked(
    query, key, value, queries, mask, sums, weights, count, tokens, scale,
    query_head, query_token, key_head, key_token, value_head, value_token,
    WIDTH: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One (head, split): online softmax of all queries over the split's keys that the mask lets through."""
    head, split, splits = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    nth, column = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    exists, in_head = nth[:, None] < count, column[None, :] < WIDTH
    token = tl.load(queries + nth, mask=nth < count, other=0)
    query_at = head * query_head + token[:, None] * query_token + column[None, :]
    states = tl.load(query + query_at, mask=exists & in_head, other=0.0)
    best = tl.full([ROWS], -1e30, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    mean = tl.zeros([ROWS, COLUMNS], tl.float32)
    size = tl.cdiv(tl.cdiv(tokens, splits), BLOCK) * BLOCK
    for begin in range(split * size, tl.minimum((split + 1) * size, tokens), BLOCK):
        other = begin + tl.arange(0, BLOCK)
        loaded = (other[:, None] < tokens) & in_head
        keys = tl.load(key + head * key_head + other[:, None] * key_token + column[None, :], mask=loaded, other=0.0)
        at = head * value_head + other[:, None] * value_token + column[None, :]
        values = tl.load(value + at, mask=loaded, other=0.0)
        seen = tl.load(mask + other, mask=other < tokens, other=0) != 0
        best, total, mean = add_block(states, keys, values, seen[None, :], scale, 1.0, best, total, mean)
    mean /= tl.maximum(total, 1e-30)[:, None]
    out = (head * splits + split) * count + nth
    tl.store(sums + out[:, None] * WIDTH + column[None, :], mean, mask=exists & in_head)
    tl.store(weights + out, best + tl.log2(tl.maximum(total, 1e-30)), mask=nth < count)


@jit
def _combine_splits(
    sums, weights, queries, out, out_head, out_token,
    WIDTH: tl.constexpr, COLUMNS: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """One (head, query): the splits' means, each weighted by its part of the softmax."""
    head, nth, count = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    split, column = tl.arange(0, SPLITS), tl.arange(0, COLUMNS)
    at = (head * SPLITS + split) * count + nth
    weight = tl.load(weights + at)
    fraction = tl.exp2(weight - tl.max(weight, 0))
    in_head = column < WIDTH
    means = tl.load(sums + at[:, None] * WIDTH + column[None, :], mask=in_head[None, :], other=0.0)
    mixed = tl.sum(means * fraction[:, None], 0) / tl.sum(fraction, 0)
    token = tl.load(queries + nth)
    tl.store(out + head * out_head + token * out_token + column, mixed.to(out.dtype.element_ty), mask=in_head)


def attend_masked(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    queries: torch.Tensor,
    mask: torch.Tensor,
    out: torch.Tensor,
) -> None:
    """Do `vision_attention.attend_masked` without an intermediate of queries x tokens."""
    _, heads, tokens, width = key.shape
    count, columns = len(queries), triton.next_power_of_2(width)
    sums = torch.empty((heads, SPLITS, count, width), dtype=torch.float32, device=key.device)
    weights = torch.empty((heads, SPLITS, count), dtype=torch.float32, device=key.device)
    _attend_masked[(heads, SPLITS)](
        query,
        key,
        value,
        queries,
        mask.view(torch.uint8),
        sums,
        weights,
        count,
        tokens,
        width**-0.5 * LOG2_E,
        *(stride for states in (query, key, value) for stride in states.stride()[1:3]),
        WIDTH=width,
        COLUMNS=columns,
        ROWS=max(QUERY_ROWS, triton.next_power_of_2(count)),
        BLOCK=BLOCK,
        num_warps=4,
        num_stages=2,
    )
    _combine_splits[(heads, count)](
        sums, weights, queries, out, *out.stride()[1:3], WIDTH=width, COLUMNS=columns, SPLITS=SPLITS, num_warps=1
    )
