"""The layouts of JPEG, WebP, GIF, BMP, AVIF and HEIC: exact where the format is, else close on smooth fields."""

from __future__ import annotations

import io
import struct
from itertools import product
from typing import Any

import av
import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from sightstream.infra.lab.fuzz.corpus import encoded
from tests.pipeline.decode.layouts.fields import Numbers, Shades, decoded, difference, field, on_white

SIZE = 96, 64
SHADES = {samples: field(samples, SIZE) for samples in (1, 3, 4)}
RGB8, RGBA8 = ((SHADES[samples] * 255).round().astype("u1") for samples in (3, 4))
GREY8 = (SHADES[1][..., 0] * 255).round().astype("u1")
TRANSPARENT = on_white(RGBA8[..., :3] / 255, RGBA8[..., 3:] / 255)


def assert_close(data: bytes, expected: Shades) -> None:
    worst = difference(data, expected)
    assert worst.mean() <= 1.5
    assert worst.max() <= 12


def ink() -> tuple[Image.Image, Shades]:
    """Return CMYK that differs in each ink, and its colours."""
    inks = (SHADES[4] * 200).round().astype("u1")
    amounts = inks / 255
    return Image.frombytes("CMYK", SIZE, inks.tobytes()), (1 - amounts[..., :3]) * (1 - amounts[..., 3:])


JPEG_OPTIONS = [
    {"quality": 95, "subsampling": subsampling, "progressive": progressive, "restart_marker_rows": rows}
    for subsampling, progressive, rows in product((0, 1, 2), (False, True), (0, 1))
]


@pytest.mark.parametrize("options", JPEG_OPTIONS, ids=str)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(mode: str, options: dict[str, Any]) -> None:
    image, expected = {
        "L": (Image.fromarray(GREY8), on_white(SHADES[1])),
        "RGB": (Image.fromarray(RGB8), SHADES[3]),
        "CMYK": ink(),
    }[mode]
    assert_close(encoded(image, "JPEG", **options), expected)


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
def test_jpeg_of_every_subsampling(subsampling: str) -> None:
    assert_close(bytes(imagecodecs.jpeg8_encode(RGB8, level=95, subsampling=subsampling)), SHADES[3])


def test_jpeg_that_stores_rgb_by_adobes_marker() -> None:
    data = encoded(Image.fromarray(RGB8), "JPEG", quality=95, keep_rgb=True)
    assert b"Adobe" in data
    assert_close(data, SHADES[3])


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("method", [0, 4, 6])
def test_webp(lossless: bool, alpha: bool, method: int) -> None:
    image, expected = (RGBA8, TRANSPARENT) if alpha else (RGB8, SHADES[3])
    data = encoded(Image.fromarray(image), "WEBP", lossless=lossless, exact=True, method=method, quality=95)
    if lossless:
        assert difference(data, expected).max() <= 1
    else:
        assert_close(data, expected)


@pytest.mark.parametrize("interlaced", [True, False])
@pytest.mark.parametrize("colours", [2, 4, 16, 256])
@pytest.mark.parametrize("clear", [True, False])
def test_gif(interlaced: bool, colours: int, clear: bool) -> None:
    indexes = (SHADES[1][..., 0] * (colours - 1)).round().astype("u1")
    palette = RGB8.reshape(-1, 3)[: 6 * colours : 6]
    image = Image.fromarray(indexes).convert("P")
    image.putpalette(palette.tobytes())
    image.putdata(indexes.reshape(-1).tolist())
    expected = palette[indexes] / 255
    options = {"transparency": 1} if clear else {}
    if clear:
        expected[indexes == 1] = 1
    assert difference(encoded(image, "GIF", interlace=interlaced, optimize=False, **options), expected).max() <= 1


def bmp(bits: int, rows: list[bytes], compression: int = 0, extra: bytes = b"", top_down: bool = False) -> bytes:
    """Return a file of rows from the top; `extra` is what stands between header and pixels."""
    padded = [row + bytes(-len(row) % 4) for row in rows]
    pixels = b"".join(padded if top_down else reversed(padded))
    height = -len(rows) if top_down else len(rows)
    used = 2**bits if bits <= 8 else 0
    header = struct.pack("<IiiHHIIiiII", 40, SIZE[0], height, 1, bits, compression, len(pixels), 0, 0, used, 0)
    start = 14 + len(header) + len(extra)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + extra + pixels


@pytest.mark.parametrize("top_down", [True, False])
@pytest.mark.parametrize("bits", [1, 4, 8, 24, 32])
def test_bmp(bits: int, top_down: bool) -> None:
    if bits > 8:
        wide = np.concatenate([RGB8[..., ::-1], np.zeros((*GREY8.shape, 1), "u1")], axis=-1)[..., : bits // 8]
        assert difference(bmp(bits, [row.tobytes() for row in wide], top_down=top_down), SHADES[3]).max() <= 1
        return
    indexes = (SHADES[1][..., 0] * (2**bits - 1)).round().astype("u1")
    palette = RGB8.reshape(-1, 3)[: 6 * 2**bits : 6]
    entries = b"".join(bytes([blue, green, red, 0]) for red, green, blue in palette.tolist())
    planes = (indexes[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = [np.packbits(row.reshape(-1)).tobytes() for row in planes]
    assert difference(bmp(bits, rows, extra=entries, top_down=top_down), palette[indexes] / 255).max() <= 1


@pytest.mark.parametrize("green_bits", [5, 6])
@pytest.mark.parametrize("top_down", [True, False])
def test_bmp_of_16_bits(green_bits: int, top_down: bool) -> None:
    levels = np.array([31, 2**green_bits - 1, 31])
    parts = (SHADES[3] * levels).round().astype("u2")
    words = parts[..., 0] << (5 + green_bits) | parts[..., 1] << 5 | parts[..., 2]
    masks = struct.pack("<III", 31 << (5 + green_bits), (2**green_bits - 1) << 5, 31)
    rows = [row.astype("<u2").tobytes() for row in words]
    data = bmp(16, rows, compression=3, extra=masks, top_down=top_down)
    assert difference(data, parts / levels).max() <= 1
    if green_bits == 5:
        assert difference(bmp(16, rows, top_down=top_down), parts / levels).max() <= 1


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
@pytest.mark.parametrize("alpha", [True, False])
def test_avif(bits: int, subsampling: str, alpha: bool) -> None:
    shades, expected = (SHADES[4], TRANSPARENT) if alpha else (SHADES[3], SHADES[3])
    values = (shades * (2**bits - 1)).round().astype("u1" if bits == 8 else "u2")
    data = imagecodecs.avif_encode(values, level=95, speed=8, bitspersample=bits, pixelformat=subsampling)
    assert_close(bytes(data), expected)


def heic(values: Numbers, mode: str, **options: Any) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_bytes(mode, SIZE, values.tobytes()).save(out, quality=95, **options)
    return out.getvalue()


@pytest.mark.parametrize("chroma", [444, 422, 420])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("alpha", [True, False])
def test_heic(wide: bool, chroma: int, alpha: bool) -> None:
    shades, expected = (SHADES[4], TRANSPARENT) if alpha else (SHADES[3], SHADES[3])
    values = (shades * (65535 if wide else 255)).round().astype("u2" if wide else "u1")
    mode = ("RGBA" if alpha else "RGB") + (";16" if wide else "")
    assert_close(heic(values, mode, chroma=chroma), expected)


@pytest.mark.parametrize("chroma", [444, 420])
def test_another_reader_sees_the_same_in_a_heic_file(chroma: int) -> None:
    """FFmpeg's HEVC decoder shares no code with libde265, which the product's HEIC reader uses."""
    data = heic(RGB8, "RGB", chroma=chroma)
    with av.open(io.BytesIO(data), "r") as container:
        frame = next(container.decode(video=0))
    theirs = frame.to_ndarray(format="rgb24").astype("f8")[: SIZE[1], : SIZE[0]]
    worst = np.abs(decoded(data) - theirs)
    assert worst.mean() <= 1.5
    assert worst.max() <= 12
