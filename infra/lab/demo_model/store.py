"""Training samples on the device: a ring that new pictures overwrite, and batches put together from it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightstream.infra.lab.demo_model.samples import (
    ANSWER_LENGTH,
    FIELDS,
    FORMAT_ANSWER_LENGTH,
    FORMAT_QUESTIONS,
)
from sightstream.infra.lab.demo_model.tiles import ARRANGEMENTS

# How often each family is asked: describing and reading prices are the hardest.
FAMILY_WEIGHTS = (0.17, 0.12, 0.12, 0.13, 0.13, 0.19, 0.14)


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded tokens (B, L); `starts` and `lengths` of the answers; raw tiles; targets of the heads.

    No answer is longer than `answer_limit` tokens.
    """

    tiles: Tensor
    aspect: Tensor
    tile_mask: Tensor
    targets: Tensor
    tokens: Tensor
    starts: Tensor
    lengths: Tensor
    answer_limit: int


class Store:
    """A ring of `capacity` samples on `device`."""

    def __init__(self, capacity: int, device: torch.device) -> None:
        self.capacity, self.device = capacity, device
        self.drawn = 0
        self._rings = {
            name: torch.zeros((capacity, *shape), dtype=getattr(torch, kind), device=device)
            for name, (shape, kind) in FIELDS.items()
        }
        counts = [0] + [rows * columns for rows, columns in ARRANGEMENTS]
        self._tile_counts = torch.tensor(counts, device=device)
        self._weights = torch.tensor(FAMILY_WEIGHTS, device=device)

    def __len__(self) -> int:
        return min(self.drawn, self.capacity)

    def add(self, block: dict[str, Any]) -> None:
        """Copy a block of samples in, over the oldest ones; the block may be reused at once.

        May be called from another thread than `sample`: both work on the device's default stream, in order.
        """
        count = len(block["aspect"])
        at = torch.arange(self.drawn, self.drawn + count, device=self.device) % self.capacity
        for name, ring in self._rings.items():
            ring.index_copy_(0, at, torch.from_numpy(block[name]).to(self.device))
        self.drawn += count

    def sample(self, size: int, prompts: tuple[Tensor, Tensor], generator: torch.Generator) -> Batch:
        """`size` random samples, each with a random question of a random family."""
        rows = torch.randint(len(self), (size,), device=self.device, generator=generator)
        families = torch.multinomial(self._weights, size, replacement=True, generator=generator)
        return self.batch(rows, families, prompts, generator)

    def batch(
        self, rows: Tensor, families: Tensor, prompts: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> Batch:
        """The named rows, each asked a random wording of the named family."""
        ids, lengths = prompts
        wording = torch.randint(ids.shape[1], rows.shape, device=self.device, generator=generator)
        prompt, starts = ids[families, wording].long(), lengths[families, wording].long()
        answer = self._rings["answers"][rows, families].long()
        answered = self._rings["lengths"][rows, families].long()
        at = torch.arange(prompt.shape[1] + ANSWER_LENGTH, device=self.device)[None]
        behind = (at - starts[:, None]).clamp(0, ANSWER_LENGTH - 1)
        inside = prompt.gather(1, at.clamp(max=prompt.shape[1] - 1).expand(len(rows), -1))
        tokens = torch.where(at < starts[:, None], inside, answer.gather(1, behind))
        tokens = torch.where(at < (starts + answered)[:, None], tokens, 0)
        return self._with_pictures(rows, (tokens, starts, answered), ANSWER_LENGTH)

    def sample_formats(self, size: int, generator: torch.Generator) -> Batch:
        """`size` random samples, each with one of its own questions for JSON or a choice."""
        rows = torch.randint(len(self), (size,), device=self.device, generator=generator)
        chosen = torch.randint(FORMAT_QUESTIONS, (size,), device=self.device, generator=generator)
        return self.format_batch(rows, chosen)

    def format_batch(self, rows: Tensor, chosen: Tensor) -> Batch:
        """The named rows, each asked its own question of the chosen number."""
        names = ("format_tokens", "format_starts", "format_lengths")
        tokens, starts, lengths = (self._rings[name][rows, chosen].long() for name in names)
        return self._with_pictures(rows, (tokens, starts, lengths), FORMAT_ANSWER_LENGTH)

    def _with_pictures(self, rows: Tensor, texts: tuple[Tensor, Tensor, Tensor], answer_limit: int) -> Batch:
        aspect = self._rings["aspect"][rows].long()
        valid = torch.arange(4, device=self.device) < self._tile_counts[aspect][:, None]
        return Batch(self._rings["tiles"][rows], aspect, valid, self._rings["targets"][rows], *texts, answer_limit)


def to_device(arrays: tuple[np.ndarray, np.ndarray], device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts as `make_prompts` gives them, on the device."""
    return torch.from_numpy(arrays[0]).to(device), torch.from_numpy(arrays[1]).to(device)
