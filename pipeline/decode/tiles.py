"""Square tiles as Mllama sees them: how many an image gets, how it is scaled onto them, and the model's numbering.

The arithmetic is that of transformers' Mllama image processor, and so is the result, in bytes instead of floats. The
engine splits the canvas into tiles and normalises it on its device, where that costs nothing; a canvas is a quarter of
the size of the floats. Pillow is imported only by the functions that touch pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

    from sightstream.pipeline.types import Canvas, Pixels

BILINEAR: Literal[2] = 2
BICUBIC: Literal[3] = 3

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Tiling:
    """Up to `max_tiles` square tiles of `side` pixels; `resample` is Pillow's number of the filter that scales."""

    side: int
    max_tiles: int
    resample: int = BILINEAR

    def at_most(self, max_tiles: int) -> Tiling:
        """Return the tiling of an image that may have fewer tiles. Raises ValueError below 1."""
        if max_tiles < 1:
            raise ValueError("an image has one tile at least")
        return replace(self, max_tiles=min(self.max_tiles, max_tiles))

    @property
    def canvas_bytes(self) -> int:
        """The size of the largest canvas."""
        return self.max_tiles * self.side * self.side * 3


@dataclass(frozen=True, slots=True)
class Layout:
    """The rows and columns of tiles of one canvas; `scaled` is the (width, height) that the image is scaled to."""

    rows: int
    columns: int
    scaled: tuple[int, int]
    tiling: Tiling

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the canvas."""
        return self.columns * self.tiling.side, self.rows * self.tiling.side


@cache
def arrangements(max_tiles: int) -> tuple[tuple[int, int], ...]:
    """Return every (rows, columns) of at most `max_tiles` tiles, in the order of the model's numbers, from 1."""
    counts = range(1, max_tiles + 1)
    return tuple((rows, columns) for rows in counts for columns in counts if rows * columns <= max_tiles)


def aspect_ratio_id(rows: int, columns: int, max_tiles: int) -> int:
    """Return the model's number of an arrangement; 0 is reserved for "no image"."""
    return arrangements(max_tiles).index((rows, columns)) + 1


def choose_layout(width: int, height: int, tiling: Tiling) -> Layout:
    """Return the layout that fits an image of this size best and keeps its proportions."""
    rows, columns = best_arrangement(width, height, tiling)
    scaled = fitted_size(width, height, columns * tiling.side, rows * tiling.side, tiling.side)
    return Layout(rows, columns, scaled, tiling)


def best_arrangement(width: int, height: int, tiling: Tiling) -> tuple[int, int]:
    """Return the (rows, columns) that enlarge the image least, else those that shrink it least.

    The smallest arrangement wins a tie.
    """
    scales = {
        (rows, columns): min(rows * tiling.side / height, columns * tiling.side / width)
        for rows, columns in arrangements(tiling.max_tiles)
    }
    enlarging = [scale for scale in scales.values() if scale >= 1]
    chosen = min(enlarging) if enlarging else max(scales.values())
    best = [tiles for tiles, scale in scales.items() if scale == chosen]
    return min(best, key=lambda tiles: tiles[0] * tiles[1])


def fitted_size(width: int, height: int, canvas_width: int, canvas_height: int, side: int) -> tuple[int, int]:
    """Return the (width, height) that fill the canvas in one direction; a small image grows to one tile at most."""
    target_width = min(max(width, side), canvas_width)
    target_height = min(max(height, side), canvas_height)
    scale_width, scale_height = target_width / width, target_height / height
    if scale_width < scale_height:
        return target_width, min(math.floor(height * scale_width) or 1, target_height)
    return min(math.floor(width * scale_height) or 1, target_width), target_height


def resize_and_pad(image: Image.Image, layout: Layout, box: Box | None = None) -> Image.Image:
    """Scale the RGB image, or the part of it inside the box, and put it at the top left of a black canvas."""
    from PIL import Image

    scaled = image.resize(layout.scaled, layout.tiling.resample, box)
    if scaled.size == layout.size:
        return scaled
    canvas = Image.new("RGB", layout.size)
    canvas.paste(scaled)
    return canvas


def to_tiles(pixels: Pixels, tiling: Tiling) -> Canvas:
    """Return the pixels scaled onto the arrangement of tiles that fits them best, at the top left on black."""
    from PIL import Image

    image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.buffer())
    return image_to_tiles(image, pixels.format, tiling)


def image_to_tiles(image: Image.Image, kind: str, tiling: Tiling) -> Canvas:
    """Do the same for an upright RGB image; `kind` is the format that it was stored in."""
    from sightstream.pipeline.types import Canvas

    layout = choose_layout(image.width, image.height, tiling)
    rgb = resize_and_pad(image, layout).tobytes()
    return Canvas(rgb, layout.rows, layout.columns, tiling.side, image.width, image.height, kind)
