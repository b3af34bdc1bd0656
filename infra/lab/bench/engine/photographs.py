"""JPEG files that look like photographs to a decoder: smooth shapes, some grain, each different."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

QUALITY = 85
_COLUMNS_AND_ROWS = {1: (1, 1), 2: (2, 1), 4: (2, 2)}


def photographs(count: int, tiles: int, tile_side: int, threads: int = 4) -> list[bytes]:
    """`count` distinct JPEG files that fill exactly `tiles` (1, 2 or 4) tiles of the model."""
    columns, rows = _COLUMNS_AND_ROWS[tiles]
    with ThreadPoolExecutor(threads) as pool:
        files: Iterable[bytes] = pool.map(lambda n: photograph(n, columns * tile_side, rows * tile_side), range(count))
        return list(files)


def photograph(number: int, width: int, height: int, grain_fraction: float = 0.15, grain_pixels: int = 4) -> bytes:
    """The same number and size give the same file. More and finer grain make a larger one."""
    rng = random.Random(number)  # noqa: S311 - an image, not a secret
    shapes = _noise(rng, 12, 12).resize((width, height), Image.Resampling.BICUBIC)
    grain = _noise(rng, max(1, width // grain_pixels), max(1, height // grain_pixels))
    grain = grain.resize((width, height), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    Image.blend(shapes, grain, grain_fraction).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _noise(rng: random.Random, width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), rng.randbytes(width * height * 3))
