"""Tiles that lie in rows and columns, and how the model numbers them. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

BILINEAR: Literal[2] = 2
BICUBIC: Literal[3] = 3


@dataclass(frozen=True, slots=True)
class Tiling:
    """Up to `max_tiles` square tiles of `side` pixels; `resample` is Pillow's number of the filter that scales."""

    side: int
    max_tiles: int
    resample: int = BILINEAR

    @property
    def canvas_bytes(self) -> int:
        """What the largest canvas takes."""
        return self.max_tiles * self.side * self.side * 3


@cache
def arrangements(max_tiles: int) -> tuple[tuple[int, int], ...]:
    """Every (rows, columns) of at most `max_tiles` tiles, in the order in which the model numbers them from 1."""
    counts = range(1, max_tiles + 1)
    return tuple((rows, columns) for rows in counts for columns in counts if rows * columns <= max_tiles)


def aspect_ratio_id(rows: int, columns: int, max_tiles: int) -> int:
    """The model's number of an arrangement; 0 is left for no image at all."""
    return arrangements(max_tiles).index((rows, columns)) + 1
