"""The decode step's inputs for all rows, in one block of numbers: one copy to the device per step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

_FIXED = 3


@dataclass(frozen=True, slots=True)
class DecodeInputs:
    """`packed` [rows, 3 + max_tiles + max_pages], int32. Each row is laid out as

        | token | position | tiles | max_tiles tile pages | max_pages pages of text |

    where unused pages are 0. An idle row is all zeros: it reads and writes page 0, which has no owner.
    """

    packed: torch.Tensor
    max_tiles: int

    @classmethod
    def zeros(cls, rows: int, max_tiles: int, max_pages: int, *, pin: bool) -> DecodeInputs:
        """Return idle rows on the host."""
        return cls(torch.zeros((rows, _FIXED + max_tiles + max_pages), dtype=torch.int32, pin_memory=pin), max_tiles)

    def first(self, rows: int) -> DecodeInputs:
        """Return a view of the first rows."""
        return DecodeInputs(self.packed[:rows], self.max_tiles)

    def set_row(self, row: int, token: int, position: int, tile_pages: list[int], pages: list[int]) -> None:
        """Fill the row of a request that starts decoding."""
        line = [token, position, len(tile_pages), *tile_pages]
        line += [0] * (_FIXED + self.max_tiles - len(line)) + pages
        self.packed[row].zero_()
        self.packed[row, : len(line)] = torch.tensor(line, dtype=torch.int32)

    def move_row(self, source: int, target: int) -> None:
        self.packed[target] = self.packed[source]

    def clear_row(self, row: int) -> None:
        self.packed[row].zero_()

    @property
    def tokens(self) -> torch.Tensor:
        """[rows]: the newest token of each row."""
        return self.packed[:, 0].contiguous()

    @property
    def positions(self) -> torch.Tensor:
        """[rows]: the position of the newest token."""
        return self.packed[:, 1].contiguous()

    @property
    def tiles(self) -> torch.Tensor:
        """[rows]: how many tiles each row's image has."""
        return self.packed[:, 2]

    @property
    def tile_pages(self) -> torch.Tensor:
        """[rows, max_tiles]."""
        return self.packed[:, _FIXED : _FIXED + self.max_tiles]

    @property
    def pages(self) -> torch.Tensor:
        """[rows, max_pages]."""
        return self.packed[:, _FIXED + self.max_tiles :]
