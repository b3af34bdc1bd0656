"""What a decoding step has to know about each row, in one block of numbers: one copy to the device a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

_FIXED = 3


@dataclass(frozen=True, slots=True)
class StepTable:
    """`numbers` [rows, 3 + max_tiles + max_pages], int32: token, position, tiles, pages of tiles, pages of text.

    A row of zeros is an idle row: it reads and writes pages that are nobody's.
    """

    numbers: torch.Tensor
    max_tiles: int

    @classmethod
    def zeros(cls, rows: int, max_tiles: int, max_pages: int, *, pin: bool) -> StepTable:
        """On the host."""
        return cls(torch.zeros((rows, _FIXED + max_tiles + max_pages), dtype=torch.int32, pin_memory=pin), max_tiles)

    def first(self, rows: int) -> StepTable:
        return StepTable(self.numbers[:rows], self.max_tiles)

    def set(self, row: int, token: int, position: int, tile_pages: list[int], pages: list[int]) -> None:
        """A request moves in."""
        line = [token, position, len(tile_pages), *tile_pages]
        line += [0] * (_FIXED + self.max_tiles - len(line)) + pages
        self.numbers[row].zero_()
        self.numbers[row, : len(line)] = torch.tensor(line, dtype=torch.int32)

    def move(self, source: int, target: int) -> None:
        self.numbers[target] = self.numbers[source]

    def clear(self, row: int) -> None:
        self.numbers[row].zero_()

    @property
    def tokens(self) -> torch.Tensor:
        """[rows]: the newest token of each row."""
        return self.numbers[:, 0].contiguous()

    @property
    def positions(self) -> torch.Tensor:
        """[rows]: where the newest token stands."""
        return self.numbers[:, 1].contiguous()

    @property
    def tiles(self) -> torch.Tensor:
        """[rows]: how many tiles each row's image has."""
        return self.numbers[:, 2]

    @property
    def tile_pages(self) -> torch.Tensor:
        return self.numbers[:, _FIXED : _FIXED + self.max_tiles]

    @property
    def pages(self) -> torch.Tensor:
        return self.numbers[:, _FIXED + self.max_tiles :]
