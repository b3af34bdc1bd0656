"""Every mode becomes the colours that it stands for, on white."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Literal

import pytest
from PIL import Image, ImageCms

from sightstream.infra.lab.fuzz.corpus import encoded, png, sample_image
from sightstream.pipeline.decode.colour import _transform
from sightstream.pipeline.decode.inline import decode
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason
from tests.pipeline.decode.images import largest_difference

SETTINGS = DecodeSettings()


def pixels_of(data: bytes) -> list[tuple[int, ...]]:
    rgb = bytes(decode(data, SETTINGS).buffer())
    return [tuple(rgb[at : at + 3]) for at in range(0, len(rgb), 3)]


def image_of(data: bytes) -> Image.Image:
    pixels = decode(data, SETTINGS)
    return Image.frombytes("RGB", (pixels.width, pixels.height), bytes(pixels.buffer()))


def row(mode: str, values: Sequence[float]) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    return image


def greys(data: bytes) -> list[int]:
    pixels = pixels_of(data)
    assert all(len(set(colour)) == 1 for colour in pixels)
    return [colour[0] for colour in pixels]


WIDE = [0, 128, 129, 257, 0x4000, 0x7FFF, 0x8000, 0xFEFE, 0xFF7E, 0xFF7F, 0xFFFF]


@pytest.mark.parametrize(("mode", "kind"), [("I;16", "PNG"), ("I;16", "TIFF"), ("I;16B", "TIFF")])
def test_sixteen_bit_greys_are_rounded_to_the_nearest(mode: str, kind: str) -> None:
    data = encoded(row(mode, WIDE), kind)
    assert greys(data) == [math.floor(value / 257 + 0.5) for value in WIDE]


def test_sixteen_bit_colours_are_within_one() -> None:
    rows = b"\0" + b"".join(struct.pack(">HHH", value, 0xFFFF - value, value) for value in WIDE)
    pixels = pixels_of(png(struct.pack(">IIBBBBB", len(WIDE), 1, 16, 2, 0, 0, 0), rows))
    for value, colour in zip(WIDE, pixels, strict=True):
        for seen, meant in zip(colour, (value / 257, 255 - value / 257, value / 257), strict=True):
            assert abs(seen - meant) < 1


def test_a_sixteen_bit_grey_may_be_transparent() -> None:
    data = encoded(row("I;16", [0, 1000, 1001, 0xFFFF]), "PNG")
    chunk = b"tRNS" + struct.pack(">H", 1000)
    at = data.index(b"IDAT") - 4
    data = data[:at] + struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[at:]
    assert greys(data) == [0, 255, 4, 255]


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("F", [0, 0.5, 1, -3], [0, 128, 255, 0]),
        ("F", [0, 127.6, 255], [0, 128, 255]),
        ("F", [0, 32767.5, 65535], [0, 128, 255]),
        ("F", [0, 5e6, 1e7], [0, 128, 255]),
        ("F", [0, 0], [0, 0]),
        ("I", [0, 100, 200], [0, 100, 200]),
        ("I", [0, 30_000, 65_535], [0, 117, 255]),
        ("I", [-70_000, 1_000_000, 2_000_000], [0, 128, 255]),
    ],
)
def test_numbers_that_define_no_white(mode: str, values: list[float], expected: list[int]) -> None:
    assert greys(encoded(row(mode, values), "TIFF")) == expected


def test_infinite_numbers_are_rejected() -> None:
    with pytest.raises(Rejected) as caught:
        decode(encoded(row("F", [0, math.inf]), "TIFF"), SETTINGS)
    assert caught.value.reason is Reason.IMAGE_CORRUPT


def tiff(bits: int, photometric: int, strip: bytes, width: int, sample_format: int = 1) -> bytes:
    tags = [(256, 4, width), (257, 4, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, 1), (279, 4, len(strip)), (339, 3, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_greys_of_twelve_bits_reach_white() -> None:
    assert greys(tiff(12, 1, bytes([0xFF, 0xF8, 0x00, 0x00, 0x00, 0x00]), 4)) == [255, 128, 0, 0]


def test_where_zero_is_white() -> None:
    assert greys(tiff(16, 0, struct.pack("<HHH", 0, 0x8080, 0xFFFF), 3)) == [255, 127, 0]


def test_signed_greys_reach_white() -> None:
    assert greys(tiff(16, 1, struct.pack("<hhh", -5, 0x4000, 0x7FFF), 3, sample_format=2)) == [0, 128, 255]


def test_one_bit() -> None:
    for kind in ("PNG", "BMP", "TIFF"):
        assert greys(encoded(row("1", [0, 255, 0]), kind)) == [0, 255, 0]


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "TIFF"), ("LA", "TIFF")])
def test_transparency_shows_white(mode: str, kind: str) -> None:
    whole = sample_image("RGBA")
    if mode == "LA":
        grey = whole.convert("L")
        grey.putalpha(whole.getchannel("A"))
        whole = grey
    expected = Image.new("RGBA", whole.size, "white")
    expected.alpha_composite(whole.convert("RGBA"))
    assert largest_difference(image_of(encoded(whole, kind)), expected.convert("RGB")) <= 1


def test_palettes_with_alpha() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    pixels = pixels_of(encoded(image, "PNG", transparency=bytes([255, 0, 128])))
    assert pixels[:2] == [(255, 0, 0), (255, 255, 255)]
    assert pixels[2] == pytest.approx((127, 127, 255), abs=1)


def test_one_colour_declared_transparent() -> None:
    image = Image.new("RGB", (2, 1), "red")
    image.putpixel((1, 0), (0, 0, 255))
    assert pixels_of(encoded(image, "PNG", transparency=(0, 0, 255))) == [(255, 0, 0), (255, 255, 255)]
    assert greys(encoded(row("L", [10, 20]), "PNG", transparency=20)) == [10, 255]


def test_adobes_cmyk_is_not_a_negative() -> None:
    """Pillow stores it inverted, as Adobe does, and says so in the file."""
    for colour, ink in (((255, 255, 255), (0, 0, 0, 0)), ((0, 0, 0), (0, 0, 0, 255)), ((255, 0, 0), (0, 255, 255, 0))):
        data = encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95)
        assert b"Adobe" in data
        assert pixels_of(data)[100] == pytest.approx(colour, abs=4)
        plain = encoded(Image.new("CMYK", (16, 16), ink), "TIFF")
        assert pixels_of(plain)[100] == pytest.approx(colour, abs=1)


# --- colour profiles ------------------------------------------------------------------------------------------


def profile(name: Literal["LAB", "sRGB"], temperature: float = 0) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name, temperature))


def swapped() -> bytes:
    """Return sRGB with its red and blue primaries exchanged, which changes every colour visibly."""
    data = bytearray(profile("sRGB").tobytes())
    at = {bytes(data[132 + 12 * n : 136 + 12 * n]): 136 + 12 * n for n in range(int.from_bytes(data[128:132], "big"))}
    red, blue = at[b"rXYZ"], at[b"bXYZ"]
    data[red : red + 4], data[blue : blue + 4] = data[blue : blue + 4], data[red : red + 4]
    return bytes(data)


def grey_profile(gamma: float) -> bytes:
    """Return a small profile that follows the standard: white point and one curve."""

    def tag(kind: bytes, body: bytes) -> bytes:
        return kind + bytes(4) + body

    white = tag(b"XYZ ", struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D))
    curve = tag(b"curv", struct.pack(">IH", 1, round(gamma * 256))) + bytes(2)
    name = tag(b"desc", struct.pack(">I", 2) + b"g\0" + bytes(80))
    name += bytes(-len(name) % 4)
    bodies, start, table = b"", 128 + 4 + 36, b""
    for sign, body in ((b"desc", name), (b"wtpt", white), (b"kTRC", curve)):
        table += sign + struct.pack(">II", start + len(bodies), len(body))
        bodies += body
    rest = struct.pack(">I", 3) + table + bodies
    head = struct.pack(">I4sI4s4s4s", 128 + len(rest), b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(128 - 24 - 16 - 60) + bytes(60)
    head = head[:68] + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D) + bytes(48)
    return head + rest


def test_a_profile_of_srgb_changes_no_value() -> None:
    image = sample_image()
    assert largest_difference(image_of(encoded(image, "PNG", icc_profile=profile("sRGB").tobytes())), image) == 0


def test_a_profile_that_changes_nothing_is_skipped() -> None:
    assert _transform(profile("sRGB").tobytes(), "RGB") is None
    assert _transform(swapped(), "RGB") is not None
    assert _transform(grey_profile(1.0), "L") is not None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_are_converted_by_their_profile(mode: str) -> None:
    image = Image.new("RGB", (4, 4), (250, 10, 20)).convert(mode)
    red, green, blue = pixels_of(encoded(image, "PNG", icc_profile=swapped()))[0]
    assert blue > 230
    assert red < 40
    assert green < 60


def test_transparency_and_profile_together() -> None:
    image = Image.new("RGBA", (2, 1), (250, 10, 20, 0))
    image.putpixel((1, 0), (250, 10, 20, 255))
    clear, opaque = pixels_of(encoded(image, "PNG", icc_profile=swapped()))
    assert clear == (255, 255, 255)
    assert opaque[2] > 230


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_a_grey_image_with_a_profile_of_colours_stays_grey(mode: str) -> None:
    assert greys(encoded(row("L", [0, 255]).convert(mode), "PNG", icc_profile=profile("sRGB").tobytes())) == [0, 255]


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_greys_are_converted_by_their_profile(mode: str) -> None:
    """A gamma of 1 is linear light: half of it is 188 in sRGB."""
    data = encoded(row("L", [0, 128, 255]).convert(mode), "PNG", icc_profile=grey_profile(1.0))
    assert greys(data) == pytest.approx([0, 188, 255], abs=1)


def test_a_profile_for_another_kind_of_image_is_ignored() -> None:
    colours = sample_image()
    assert largest_difference(image_of(encoded(colours, "PNG", icc_profile=grey_profile(1.0))), colours) == 0
    inks = encoded(sample_image("CMYK"), "TIFF")
    with_profile = encoded(sample_image("CMYK"), "TIFF", icc_profile=profile("sRGB").tobytes())
    assert pixels_of(with_profile) == pixels_of(inks)


@pytest.mark.parametrize("corrupt", [b"x", bytes(200), b"\xff" * 5000])
def test_a_corrupt_profile_is_ignored(corrupt: bytes) -> None:
    for cut in (corrupt, swapped()[:200], swapped()[:100] + bytes(100)):
        assert largest_difference(image_of(encoded(sample_image(), "PNG", icc_profile=cut)), sample_image()) == 0


def test_lab() -> None:
    to_lab = ImageCms.buildTransform(profile("sRGB"), profile("LAB"), "RGB", "LAB")
    for colour in ((200, 30, 40), (255, 255, 255), (0, 0, 0)):
        lab = ImageCms.applyTransform(Image.new("RGB", (4, 4), colour), to_lab)
        assert lab is not None
        assert pixels_of(encoded(lab, "TIFF"))[0] == pytest.approx(colour, abs=4)


def test_premultiplied_alpha() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (2, 2), (200, 100, 0, 128)).convert("RGBa").convert("RGBA").save(out, "TIFF")
    assert pixels_of(out.getvalue())[0] == pytest.approx((227, 177, 127), abs=2)
