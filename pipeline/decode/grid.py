"""Puts several images on one canvas, a tile for each, for models that look at one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sightstream.pipeline.decode.tiles import arrangements
from sightstream.pipeline.errors import CapabilityMissing
from sightstream.pipeline.types import Canvas

# By the number of images: (rows, columns). Three leave the last tile black.
GRIDS = {1: (1, 1), 2: (1, 2), 3: (2, 2), 4: (2, 2)}


def images_on_canvas(max_tiles: int) -> int:
    """Return how many images a model sees on one canvas that may have so many tiles."""
    return max(count for count, grid in GRIDS.items() if grid in arrangements(max_tiles))


def compose(canvases: Sequence[Canvas]) -> Canvas:
    """Return one canvas with the images in rows, from the top left, and black where there is none.

    Each has one tile; all are of the same size. The result is a copy, with memory of its own: the caller may release
    the images at once, and the result goes back to nobody. Raises CapabilityMissing for more than four.
    """
    if len(canvases) not in GRIDS:
        raise CapabilityMissing("images", f"it sees {max(GRIDS)} images at most in one question")
    rows, columns = GRIDS[len(canvases)]
    side = canvases[0].side
    tiles = [canvas.buffer() for canvas in canvases]
    tiles += [bytes(side * side * 3)] * (rows * columns - len(tiles))
    rgb = b"".join(_lines(tiles, columns, side))
    return Canvas(rgb, rows, columns, side, columns * side, rows * side, canvases[0].format)


def _lines(tiles: Sequence[bytes | memoryview], columns: int, side: int) -> Iterator[bytes | memoryview]:
    line = side * 3
    for first in range(0, len(tiles), columns):
        for start in range(0, side * line, line):
            for tile in tiles[first : first + columns]:
                yield tile[start : start + line]
