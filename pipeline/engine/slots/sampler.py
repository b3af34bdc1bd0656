"""Samples one token per row from logits; a row's token never depends on the rows beside it."""

from __future__ import annotations

import torch

from sightstream.pipeline.engine.slots.sampling import SamplingBatch
from sightstream.pipeline.engine.slots.transfer import copy_numbers

ROWS_AT_ONCE = 32  # sorting a vocabulary takes some 5 MB per row


def sample(logits: torch.Tensor, batch: SamplingBatch | None) -> torch.Tensor:
    """Return a token for each row, [rows], from `logits` [rows, vocabulary]; all rows are greedy without a batch."""
    tokens = logits.argmax(dim=-1)
    if batch is not None:
        rows = copy_numbers(batch.rows, logits.device)
        tokens[rows] = sample_nucleus(logits[rows], batch)
    return tokens


def sample_nucleus(logits: torch.Tensor, batch: SamplingBatch) -> torch.Tensor:
    """Sample from the nucleus (Holtzman et al. 2020) by inverting the distribution function at `batch.uniform`."""
    columns = (
        copy_numbers(numbers, logits.device)[:, None] for numbers in (batch.temperature, batch.top_p, batch.uniform)
    )
    parts = zip(*(torch.split(part, ROWS_AT_ONCE) for part in (logits, *columns)), strict=True)
    return torch.cat([_invert_cdf(*part) for part in parts])


def _invert_cdf(
    logits: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor, uniform: torch.Tensor
) -> torch.Tensor:
    chances, order = torch.softmax(logits.float() / temperature, dim=-1).sort(descending=True, stable=True)
    total = chances.cumsum(dim=-1)
    in_nucleus = total - chances < top_p
    total = total * in_nucleus
    mass = total.amax(dim=-1, keepdim=True)
    rank = ((total <= uniform * mass) & in_nucleus).sum(dim=-1, keepdim=True)
    last = (in_nucleus.sum(dim=-1, keepdim=True) - 1).clamp(min=0)  # the first is in it, even if top_p rounds to 0
    return order.gather(1, rank.clamp(max=last))[:, 0]
