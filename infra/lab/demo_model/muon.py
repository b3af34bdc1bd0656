"""Muon for the matrices: momentum whose direction is made orthogonal by a few Newton-Schulz steps.

Matrices of one shape are stacked, so a step costs a handful of batched products. Everything that is not a
hidden matrix (embeddings, norms, gates, the output layer) belongs to AdamW.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315  # the quintic of Keller Jordan's Muon


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly; shape (n, rows, columns)."""
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    update: torch.Tensor = (x.mT if tall else x).float()
    return update


class Muon:
    """The optimizer over a list of matrices. `lr` may be set before every step."""

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.05) -> None:
        self.lr, self.momentum, self.decay = lr, momentum, decay
        self._groups: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            self._groups[matrix.shape[0], matrix.shape[1]].append(matrix)
        self._speed = {shape: torch.zeros_like(torch.stack(list(group))) for shape, group in self._groups.items()}

    @torch.no_grad()
    def step(self) -> None:
        """Move every matrix that has a gradient in its group; groups without gradients stay."""
        for shape, group in self._groups.items():
            moved = [matrix for matrix in group if matrix.grad is not None]
            if len(moved) != len(group):
                moved = []
            if not moved:
                continue
            slope = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])
            speed = self._speed[shape]
            speed.lerp_(slope, 1 - self.momentum)
            way = orthogonal(slope.lerp(speed, self.momentum))
            length = self.lr * max(1.0, shape[0] / shape[1]) ** 0.5
            torch._foreach_mul_(group, 1 - self.lr * self.decay)
            torch._foreach_add_(group, list(way.unbind(0)), alpha=-length)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self._groups.values():
            for matrix in group:
                matrix.grad = None
