"""Where an image goes on a canvas of tiles, as transformers' own Mllama image processor reckons it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from sightstream.pipeline.decode.arrangement import Tiling, arrangements

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Layout:
    """`scaled` is the (width, height) that the image is scaled to."""

    rows: int
    columns: int
    scaled: tuple[int, int]
    tiling: Tiling

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the canvas."""
        return self.columns * self.tiling.side, self.rows * self.tiling.side


def layout_of(width: int, height: int, tiling: Tiling) -> Layout:
    """In the arrangement of tiles that suits an image of this size best, its proportions kept."""
    rows, columns = best_arrangement(width, height, tiling)
    scaled = fitted_size(width, height, columns * tiling.side, rows * tiling.side, tiling.side)
    return Layout(rows, columns, scaled, tiling)


def lay(image: Image.Image, layout: Layout, box: Box | None = None) -> Image.Image:
    """The RGB image, or what of it lies in the box, scaled, at the top left on black."""
    scaled = image.resize(layout.scaled, layout.tiling.resample, box)
    if scaled.size == layout.size:
        return scaled
    canvas = Image.new("RGB", layout.size)
    canvas.paste(scaled)
    return canvas


def best_arrangement(width: int, height: int, tiling: Tiling) -> tuple[int, int]:
    """(rows, columns): those that enlarge the image least, else those that shrink it least; of equals the smallest."""
    scales = {
        (rows, columns): min(rows * tiling.side / height, columns * tiling.side / width)
        for rows, columns in arrangements(tiling.max_tiles)
    }
    enlarging = [scale for scale in scales.values() if scale >= 1]
    chosen = min(enlarging) if enlarging else max(scales.values())
    best = [tiles for tiles, scale in scales.items() if scale == chosen]
    return min(best, key=lambda tiles: tiles[0] * tiles[1])


def fitted_size(width: int, height: int, canvas_width: int, canvas_height: int, side: int) -> tuple[int, int]:
    """(width, height) that fill the canvas in one direction; an image smaller than it grows to one tile at most."""
    target_width = min(max(width, side), canvas_width)
    target_height = min(max(height, side), canvas_height)
    scale_width, scale_height = target_width / width, target_height / height
    if scale_width < scale_height:
        return target_width, min(math.floor(height * scale_width) or 1, target_height)
    return min(math.floor(width * scale_height) or 1, target_width), target_height
