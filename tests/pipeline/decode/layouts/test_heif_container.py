"""AVIF and HEIC that are turned and mirrored by their container, and that are grids of tiles."""

from __future__ import annotations

import io
from itertools import product

import imagecodecs
import numpy as np
import pillow_heif
import pytest

from tests.pipeline.decode.layouts.fields import Numbers, Shades, difference, field
from tests.pipeline.decode.layouts.heif_container import Coded, coded, grid, turned

TILE = 64, 64
SIZE = 180, 110  # of a grid of 3 x 2 tiles
PADDED = field(3, (192, 128))
TURNS = list(product((None, 0, 1, 2, 3), (None, 0, 1)))


def avif(values: Numbers) -> Coded:
    return coded(bytes(imagecodecs.avif_encode(values, level=95, speed=8, pixelformat="444")))


def heic(values: Numbers) -> Coded:
    out = io.BytesIO()
    height, width, _ = values.shape
    pillow_heif.from_bytes("RGB", (width, height), values.tobytes()).save(out, quality=95, chroma=444)
    return coded(out.getvalue())


CODECS = {"avif": avif, "heic": heic}


def as_shown(shades: Shades, angle: int | None, axis: int | None) -> Shades:
    """Turn to the left, then exchange top and bottom (0) or left and right (1): ISO/IEC 23008-12."""
    shown = np.rot90(shades, angle or 0)
    return shown if axis is None else np.flip(shown, axis)


def assert_shows(data: bytes, expected: Shades) -> None:
    worst = difference(data, expected)
    assert worst.mean() <= 1.5
    assert worst.max() <= 12


@pytest.fixture(scope="module", params=CODECS)
def tiles(request: pytest.FixtureRequest) -> list[Coded]:
    values = (PADDED * 255).round().astype("u1")
    pieces = [values[y : y + 64, x : x + 64] for y, x in product((0, 64), (0, 64, 128))]
    return [CODECS[request.param](np.ascontiguousarray(piece)) for piece in pieces]


@pytest.mark.parametrize(("angle", "axis"), TURNS)
def test_one_picture(tiles: list[Coded], angle: int | None, axis: int | None) -> None:
    assert_shows(turned(tiles[1], TILE, angle, axis), as_shown(PADDED[:64, 64:128], angle, axis))


@pytest.mark.parametrize(("angle", "axis"), TURNS)
def test_a_grid_of_tiles(tiles: list[Coded], angle: int | None, axis: int | None) -> None:
    data = grid(tiles, 3, TILE, SIZE, angle, axis)
    assert_shows(data, as_shown(PADDED[: SIZE[1], : SIZE[0]], angle, axis))
