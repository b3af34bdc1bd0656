"""The eight EXIF orientations: every format that can state one comes out upright, turned exactly once."""

from __future__ import annotations

import io

import pytest
from PIL import Image, PngImagePlugin
from pillow_heif import register_heif_opener

from sightstream.infra.lab.fuzz.corpus import encoded, exif
from sightstream.pipeline.decode.inline import decode, decode_to_canvas
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.types import Pixels
from tests.pipeline.decode.images import largest_difference

SETTINGS = DecodeSettings()
UNDO = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
VARIANTS = [
    ("PNG", {}, 0),
    ("TIFF", {}, 0),
    ("TIFF", {"compression": "tiff_lzw"}, 0),
    ("WEBP", {"lossless": True, "exact": True}, 0),
    ("JPEG", {"quality": 95, "subsampling": 0}, 20),
    ("MPO", {"quality": 95, "subsampling": 0}, 20),
    ("AVIF", {"quality": 95, "subsampling": "4:4:4"}, 40),
    ("HEIF", {"quality": 95, "chroma": 444}, 40),
]

register_heif_opener()


def upright(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Return an image whose corners all differ."""
    image = Image.new("RGB", size, "white")
    half = size[0] // 2, size[1] // 2
    image.paste("red", (0, 0, *half))
    image.paste("blue", (half[0], 0, size[0], half[1]))
    image.paste("green", (0, half[1], half[0], size[1]))
    return image


def stored(orientation: int, kind: str, options: dict[str, object], size: tuple[int, int] = (96, 64)) -> bytes:
    undo = UNDO[orientation]
    image = upright(size)
    turned = image if undo is None else image.transpose(Image.Transpose(undo))
    return encoded(turned, kind, exif=exif(orientation), **options)


def difference(pixels: Pixels, expected: Image.Image) -> int:
    assert (pixels.width, pixels.height) == expected.size
    seen = Image.frombytes("RGB", expected.size, bytes(pixels.buffer()))
    return largest_difference(seen, expected)


@pytest.mark.parametrize(("kind", "options", "tolerance"), VARIANTS)
@pytest.mark.parametrize("orientation", UNDO)
def test_it_comes_out_upright(kind: str, options: dict[str, object], tolerance: int, orientation: int) -> None:
    assert difference(decode(stored(orientation, kind, options), SETTINGS), upright()) <= tolerance


def test_in_heic_the_container_counts_and_not_exif() -> None:
    out = io.BytesIO()
    upright().save(out, "HEIF", quality=95, chroma=444, exif=exif(6))
    assert b"irot" not in out.getvalue()
    assert difference(decode(out.getvalue(), SETTINGS), upright()) <= 40


@pytest.mark.parametrize("orientation", UNDO)
def test_a_draft_is_upright_too(orientation: int) -> None:
    """With 4 tiles of 32 pixels the file is decoded at a quarter."""
    data = stored(orientation, "JPEG", {"quality": 95, "subsampling": 0}, (397, 283))
    smaller, full = (decode_to_canvas(data, DecodeSettings(draft=draft), Tiling(32, 4)) for draft in (True, False))
    assert (smaller.width, smaller.height, smaller.rows, smaller.columns) == (397, 283, full.rows, full.columns)
    one, other = [Image.frombytes("RGB", (64, 64), bytes(canvas.buffer())) for canvas in (smaller, full)]
    assert largest_difference(one, other) <= 24


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_invalid_orientation_changes_nothing(value: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = value
    assert difference(decode(encoded(upright(), "PNG", exif=tags.tobytes()), SETTINGS), upright()) == 0


def test_corrupt_exif_does_not_reject_the_image() -> None:
    valid = exif(1).tobytes()
    for corrupt in (valid[:8], valid[:-4], b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 60):
        data = encoded(upright(), "PNG", exif=corrupt)
        with Image.open(io.BytesIO(data)) as image:
            assert "exif" in image.info
        assert difference(decode(data, SETTINGS), upright()) == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_xmp_turns_nothing(kind: str) -> None:
    """It is a note that editors forget to renew."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    image = upright()
    if kind == "PNG":
        image.info["xmp"] = xmp
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        data = encoded(image, kind, pnginfo=text)
    else:
        data = encoded(image, kind, **({"tiffinfo": {700: xmp}} if kind == "TIFF" else {"xmp": xmp}))
    assert b"tiff:Orientation" in data
    for pixels in (decode(data, SETTINGS), decode_to_canvas(data, SETTINGS, Tiling(64, 4))):
        assert (pixels.width, pixels.height) == image.size
