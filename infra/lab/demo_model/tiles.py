"""From a picture to the tiles that the vision tower sees, as transformers' Mllama image processor cuts them.

A copy of its arithmetic without torch, for the processes that draw training pictures; a test holds the two equal.
"""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightstream.infra.lab.demo_model.architecture import MAX_TILES, TILE_SIZE

Bytes = npt.NDArray[np.uint8]

# (rows, columns) in the order of transformers' aspect ratio ids, which start at 1.
ARRANGEMENTS = tuple(
    (first, second)
    for first in range(1, MAX_TILES + 1)
    for second in range(1, MAX_TILES + 1)
    if first * second <= MAX_TILES
)


def arrangement_for(width: int, height: int) -> tuple[int, int]:
    """How many rows and columns of tiles a picture gets: the least enlargement, else the least reduction."""
    scales = [min(rows * TILE_SIZE / height, columns * TILE_SIZE / width) for rows, columns in ARRANGEMENTS]
    enlarging = [scale for scale in scales if scale >= 1]
    chosen = min(enlarging) if enlarging else max(scales)
    fitting = [a for a, scale in zip(ARRANGEMENTS, scales, strict=True) if scale == chosen]
    return min(fitting, key=lambda a: a[0] * a[1])


def fitted_size(width: int, height: int, rows: int, columns: int) -> tuple[int, int]:
    """The width and height that a picture is resized to inside its canvas."""
    to_width = min(max(width, TILE_SIZE), columns * TILE_SIZE)
    to_height = min(max(height, TILE_SIZE), rows * TILE_SIZE)
    by_width, by_height = to_width / width, to_height / height
    if by_width < by_height:
        return to_width, min(math.floor(height * by_width) or 1, to_height)
    return min(math.floor(width * by_height) or 1, to_width), to_height


def cut_tiles(image: Image.Image) -> tuple[Bytes, int]:
    """The tiles, uint8 of shape (MAX_TILES, 3, TILE_SIZE, TILE_SIZE), and the aspect ratio id (from 1).

    Tiles beyond the picture's own are zero.
    """
    rows, columns = arrangement_for(*image.size)
    resized = image.resize(fitted_size(*image.size, rows, columns), Image.Resampling.BILINEAR)
    canvas = np.zeros((rows * TILE_SIZE, columns * TILE_SIZE, 3), np.uint8)
    canvas[: resized.height, : resized.width] = np.asarray(resized)
    tiles = np.zeros((MAX_TILES, 3, TILE_SIZE, TILE_SIZE), np.uint8)
    cut = canvas.reshape(rows, TILE_SIZE, columns, TILE_SIZE, 3).transpose(0, 2, 4, 1, 3)
    tiles[: rows * columns] = cut.reshape(rows * columns, 3, TILE_SIZE, TILE_SIZE)
    return tiles, ARRANGEMENTS.index((rows, columns)) + 1
