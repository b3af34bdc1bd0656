"""Small classifiers on what the vision tower hands to the text; for training only, never exported."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Heads(nn.Module):
    """One learned query for each target, attending to the states."""

    def __init__(self, width: int, targets: dict[str, int], heads: int = 6) -> None:
        super().__init__()
        self.sizes = tuple(targets.values())
        self.heads = heads
        self.query = nn.Parameter(torch.randn(len(targets), width) * 0.5)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.grow = nn.Linear(width, 2 * width)
        self.shrink = nn.Linear(2 * width, width)
        self.out = nn.Parameter(torch.randn(len(targets), width, max(self.sizes)) * 0.02)
        beyond = torch.arange(max(self.sizes)) >= torch.tensor(self.sizes)[:, None]
        self.register_buffer("beyond", beyond, persistent=False)

    def forward(self, states: Tensor, tile_mask: Tensor) -> Tensor:
        """States (B, tokens, width) -> logits (B, targets, most classes); classes that a target lacks are -1e4."""
        valid = tile_mask.repeat_interleave(states.shape[1] // tile_mask.shape[1], dim=1)[:, None, None, :]
        mask = torch.where(valid, 0.0, -30000.0)
        k = self._split(self.key(F.rms_norm(states, states.shape[-1:])))
        v = self._split(self.value(states))
        q = self._split(self.query[None].to(k.dtype).expand(len(states), -1, -1))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(k.dtype)).transpose(1, 2).flatten(2)
        seen = seen + self.query
        x = seen + self.shrink(F.gelu(self.grow(F.rms_norm(seen, seen.shape[-1:]))))
        logits = torch.einsum("btw,twc->btc", x.float(), self.out)
        return logits.float().masked_fill(self.get_buffer("beyond"), -1e4)

    def _split(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, -1, (self.heads, -1)).transpose(1, 2)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy over all targets that are not -1."""
        return F.cross_entropy(logits.flatten(0, 1), targets.long().flatten(), ignore_index=-1)
