"""An image scaled and laid on a canvas of tiles, as transformers' own Mllama image processor does it, in bytes.

Splitting into tiles and normalising is left to the engine: there it costs nothing, and a canvas is a quarter of the
floats.
"""

from __future__ import annotations

import math

from PIL import Image

from pipeline.decode.tiling import Tiling, arrangements
from pipeline.types import Canvas, Pixels


def lay_out(pixels: Pixels, tiling: Tiling) -> Canvas:
    """Scaled to the arrangement of tiles that suits it best, keeping its proportions, at the top left on black."""
    image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.rgb)
    return lay_out_image(image, pixels.format, tiling)


def lay_out_image(image: Image.Image, kind: str, tiling: Tiling) -> Canvas:
    """The same for an upright RGB image; `kind` is the format that it was stored in."""
    rows, columns = best_arrangement(image.width, image.height, tiling)
    size = (columns * tiling.side, rows * tiling.side)
    scaled = image.resize(fitted_size(image.width, image.height, *size, tiling.side), tiling.resample)
    if scaled.size != size:
        canvas = Image.new("RGB", size)
        canvas.paste(scaled)
        scaled = canvas
    return Canvas(scaled.tobytes(), rows, columns, tiling.side, image.width, image.height, kind)


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
