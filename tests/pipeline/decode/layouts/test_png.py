"""Each layout of PNG: bit depth x colour type x interlace x transparency, written here sample by sample."""

from __future__ import annotations

import struct
import zlib
from itertools import product

import numpy as np
import pytest

from sightstream.infra.lab.fuzz.corpus import png
from tests.pipeline.decode.layouts.fields import Numbers, Shades, difference, field, on_white, shown, stored

SIZE = 29, 37
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
COLOURS = (field(3, (256, 2))[0] * 255).round().astype("u1")
ALPHAS = np.linspace(0, 255, 256).round().astype("u1")
LAYOUTS = [
    (colour_type, depth, interlaced, clear)
    for colour_type, depths in DEPTHS.items()
    for depth, interlaced, clear in product(depths, (False, True), (False, True))
    if not (clear and colour_type in (GREY_ALPHA, RGBA))
]


def packed(values: Numbers, depth: int) -> bytes:
    """Return the rows, each after its filter byte."""
    rows = values.reshape(values.shape[0], -1)
    if depth == 16:
        data = [row.astype(">u2").tobytes() for row in rows]
    elif depth == 8:
        data = [row.astype("u1").tobytes() for row in rows]
    else:
        bits = (rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        data = [np.packbits(row.reshape(-1)).tobytes() for row in bits.astype("u1")]
    return b"".join(b"\0" + row for row in data)


def rows_of(values: Numbers, depth: int, interlaced: bool) -> bytes:
    if not interlaced:
        return packed(values, depth)
    passes = [values[y::down, x::right] for x, y, right, down in ADAM7]
    return b"".join(packed(part, depth) for part in passes if part.size)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def written(values: Numbers, colour_type: int, depth: int, interlaced: bool, chunks: bytes) -> bytes:
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    file = png(header, rows_of(values, depth, interlaced))
    at = file.index(b"IDAT") - 4
    return file[:at] + chunks + file[at:]


def with_palette(values: Numbers, depth: int, clear: bool) -> tuple[bytes, Shades]:
    count = 2**depth
    chunks = chunk(b"PLTE", COLOURS[:count].tobytes())
    colours = COLOURS[values[..., 0]] / 255
    if not clear:
        return chunks, colours
    alpha = ALPHAS[:count][values[..., 0]][..., None] / 255
    return chunks + chunk(b"tRNS", ALPHAS[:count].tobytes()), on_white(colours, alpha)


def with_a_clear_colour(values: Numbers, colours: Shades) -> tuple[bytes, Shades]:
    """Declare the colour of a pixel in the middle to be clear: others that differ in the last bit stay."""
    clear = values[SIZE[1] // 2, SIZE[0] // 2]
    alpha = 1.0 - (values == clear).all(axis=-1, keepdims=True)
    return chunk(b"tRNS", clear.astype(">u2").tobytes()), on_white(colours, alpha)


@pytest.mark.parametrize(("colour_type", "depth", "interlaced", "clear"), LAYOUTS)
def test_a_layout_is_read_right(colour_type: int, depth: int, interlaced: bool, clear: bool) -> None:
    values = stored(field(SAMPLES[colour_type], SIZE), "u", depth)
    shades = shown(values, "u", depth)
    chunks = b""
    if colour_type == PALETTE:
        chunks, expected = with_palette(values, depth, clear)
    elif colour_type in (GREY_ALPHA, RGBA):
        expected = on_white(shades[..., :-1], shades[..., -1:])
    else:
        expected = on_white(shades)
        if clear:
            chunks, expected = with_a_clear_colour(values, expected)
    file = written(values, colour_type, depth, interlaced, chunks)
    assert difference(file, expected).max() <= (1 if depth <= 8 else 2)
