"""Pixels that skip Pillow are Pillow's pixels, and no file fares differently for it."""

from __future__ import annotations

import io
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from sightstream.pipeline.decode import picture
from sightstream.pipeline.decode.arrangement import Tiling
from sightstream.pipeline.decode.image import decode, decode_to_canvas
from sightstream.pipeline.decode.plain_jpeg import write_rgb
from sightstream.pipeline.decode.room import NoRoom
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import Pixels

SETTINGS = DecodeSettings()


def grain(mode: str = "RGB", size: tuple[int, int] = (83, 61)) -> Image.Image:
    noise = Random(7).randbytes(size[0] * size[1] * 3)
    coarse = Image.frombytes("RGB", size, noise).resize((9, 7)).resize(size, Image.Resampling.BICUBIC)
    return Image.blend(coarse, Image.frombytes("RGB", size, noise), 0.2).convert(mode)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 85, **options})
    return file.getvalue()


KINDS = {
    "4:4:4": jpeg(grain(), subsampling=0),
    "4:2:2": jpeg(grain(), subsampling=1),
    "4:2:0": jpeg(grain(), subsampling=2),
    "progressive": jpeg(grain(), progressive=True),
    "restarts": jpeg(grain(), restart_marker_rows=1),
    "best": jpeg(grain(), quality=100),
    "worst": jpeg(grain(), quality=1),
    "never converted": jpeg(grain(), keep_rgb=True),
    "grey": jpeg(grain("L")),
    "one pixel": jpeg(grain(size=(1, 1))),
    "a row": jpeg(grain(size=(90, 1))),
    "a comment": jpeg(grain(), comment=b"of no consequence"),
    "bytes after the end": jpeg(grain()) + b"\0trailing",
    "sRGB": jpeg(grain(), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    "upright": jpeg(grain(), exif=Image.Exif()),
}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What became of each file that was tried."""
    found = list[bool]()

    def spy(*arguments: Any) -> bool:
        found.append(write_rgb(*arguments))
        return found[-1]

    monkeypatch.setattr(picture, "write_rgb", spy)
    return found


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
def test_pixels_are_pillows(data: bytes, taken: list[bool]) -> None:
    pixels = decode(data, SETTINGS)
    with Image.open(io.BytesIO(data)) as image:
        assert pixels == Pixels(image.convert("RGB").tobytes(), *image.size, "JPEG")
    assert taken == [True]


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize(
    ("data", "tried"),
    [
        (jpeg(grain(), exif=turned()), []),
        (jpeg(grain("CMYK")), []),
        # A profile that does not fit is ignored, as ever.
        (jpeg(grain("L"), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()), [True]),
    ],
    ids=["on its side", "CMYK", "a profile of another kind"],
)
def test_what_is_more_than_its_values(data: bytes, tried: list[bool], taken: list[bool]) -> None:
    pixels = decode(data, SETTINGS)
    assert taken == tried
    assert len(pixels.buffer()) == 83 * 61 * 3


def test_a_profile_that_changes_colours_is_followed(taken: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    from sightstream.pipeline.decode import colour

    monkeypatch.setattr(colour, "_changes_nothing", lambda transform: False)
    colour._transform.cache_clear()
    decode(KINDS["sRGB"], SETTINGS)
    colour._transform.cache_clear()
    assert taken == []


def test_a_picture_that_is_laid_out_is_pillows(taken: list[bool]) -> None:
    decode_to_canvas(KINDS["4:2:0"], SETTINGS, Tiling(side=32, max_tiles=4, resample=2))
    assert taken == []


def test_no_room_is_told() -> None:
    def room(length: int) -> memoryview:
        raise NoRoom("no memory for a picture")

    with pytest.raises(NoRoom):
        picture.draw(KINDS["4:2:0"], SETTINGS.limits(), room)


def outcome(data: bytes) -> Pixels | tuple[object, str]:
    try:
        return decode(data, SETTINGS)
    except Rejected as error:
        return error.reason, str(error)


cuts = st.builds(lambda data, at: data[: int(at * len(data))], st.sampled_from(list(KINDS.values())), st.floats(0, 1))
places = st.floats(0, 1, exclude_max=True) | st.floats(0, 0.2)  # headers stand at the beginning
flips = st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)


def flipped(data: bytes, changes: list[tuple[float, int]]) -> bytes:
    changed = bytearray(data)
    for at, value in changes:
        changed[int(at * len(changed))] = value
    return bytes(changed)


damaged = cuts | st.builds(flipped, st.sampled_from(list(KINDS.values())), flips)


@settings(max_examples=400, deadline=None)
@given(damaged)
def test_damaged_files_fare_as_with_pillow_alone(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture, "write_rgb", lambda *_: False)
        patch.setattr(picture, "ordinary_size", lambda _: None)
        alone = outcome(data)
    assert outcome(data) == alone
