"""Puts several images on one canvas of 2 x 2 tiles, for models that look at one image: one tile for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sightstream.pipeline.errors import CapabilityMissing
from sightstream.pipeline.types import Canvas

ROWS = COLUMNS = 2
MAX_IMAGES_ON_CANVAS = ROWS * COLUMNS


def compose(canvases: Sequence[Canvas]) -> Canvas:
    """Return one canvas with the images in rows, from the top left, and black where there is none.

    Each has one tile. Raises CapabilityMissing for more than four.
    """
    if len(canvases) > MAX_IMAGES_ON_CANVAS:
        raise CapabilityMissing("images", f"it sees {MAX_IMAGES_ON_CANVAS} images at most at once")
    side = canvases[0].side
    tiles = [bytes(canvas.buffer()) for canvas in canvases]
    tiles += [bytes(side * side * 3)] * (MAX_IMAGES_ON_CANVAS - len(tiles))
    rgb = b"".join(_lines(tiles, side * 3, side))
    return Canvas(rgb, ROWS, COLUMNS, side, COLUMNS * side, ROWS * side, canvases[0].format)


def _lines(tiles: Sequence[bytes], line_bytes: int, lines: int) -> Iterator[bytes]:
    for row in range(ROWS):
        for line in range(lines):
            for tile in tiles[row * COLUMNS : (row + 1) * COLUMNS]:
                yield tile[line * line_bytes : (line + 1) * line_bytes]
