"""Pixels decoded without Pillow equal Pillow's pixels, and no file ends differently because of it."""

from __future__ import annotations

import io
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from sightstream.pipeline.decode import image_file
from sightstream.pipeline.decode.inline import decode, decode_to_canvas
from sightstream.pipeline.decode.output import OutOfSharedMemory
from sightstream.pipeline.decode.plain_jpeg import write_rgb
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling, image_to_tiles
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import Canvas, Pixels

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
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Collect the result of every attempt to decode without Pillow."""
    results = list[bool]()

    def spy(*arguments: Any) -> bool:
        results.append(write_rgb(*arguments))
        return results[-1]

    monkeypatch.setattr(image_file, "write_rgb", spy)
    return results


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
def test_pixels_are_pillows(data: bytes, attempts: list[bool]) -> None:
    pixels = decode(data, SETTINGS)
    with Image.open(io.BytesIO(data)) as image:
        assert pixels == Pixels(image.convert("RGB").tobytes(), *image.size, "JPEG")
    assert attempts == [True]


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
def test_a_file_with_more_than_its_values_goes_to_pillow(data: bytes, tried: list[bool], attempts: list[bool]) -> None:
    pixels = decode(data, SETTINGS)
    assert attempts == tried
    assert len(pixels.buffer()) == 83 * 61 * 3


def test_a_profile_that_changes_colours_is_applied(attempts: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    from sightstream.pipeline.decode import colour

    monkeypatch.setattr(colour, "_is_identity", lambda transform: False)
    colour._transform.cache_clear()
    decode(KINDS["sRGB"], SETTINGS)
    colour._transform.cache_clear()
    assert attempts == []


UNSCALED = Tiling(side=64, max_tiles=4)  # 83 x 61 pixels stand on two tiles as they are


@pytest.mark.parametrize("data", [*KINDS.values(), jpeg(grain(size=(128, 64)))], ids=[*KINDS, "full tiles"])
def test_a_canvas_is_pillows(data: bytes, attempts: list[bool]) -> None:
    canvas = decode_to_canvas(data, SETTINGS, UNSCALED)
    with Image.open(io.BytesIO(data)) as image:
        expected = image_to_tiles(image.convert("RGB"), "JPEG", UNSCALED)
    assert canvas == expected
    assert attempts == ([] if canvas.width == 1 else [True])  # one pixel grows to a tile


def test_what_the_block_held_before_does_not_show_beside_the_image() -> None:
    block = bytearray(b"\xff" * UNSCALED.canvas_bytes)
    image_file.decode_image(KINDS["4:2:0"], SETTINGS.limits(UNSCALED), lambda length: memoryview(block)[:length])
    canvas = decode_to_canvas(KINDS["4:2:0"], SETTINGS, UNSCALED)
    assert bytes(block).startswith(bytes(canvas.buffer()))


def test_an_image_that_is_scaled_goes_to_pillow(attempts: list[bool]) -> None:
    decode_to_canvas(KINDS["4:2:0"], SETTINGS, Tiling(side=32, max_tiles=4, resample=2))
    assert attempts == []


def test_missing_shared_memory_is_raised() -> None:
    def allocate(length: int) -> memoryview:
        raise OutOfSharedMemory("no shared memory for the decoded image")

    with pytest.raises(OutOfSharedMemory):
        image_file.decode_image(KINDS["4:2:0"], SETTINGS.limits(), allocate)


def outcome(data: bytes, tiling: Tiling | None) -> Pixels | Canvas | tuple[object, str]:
    try:
        return decode(data, SETTINGS) if tiling is None else decode_to_canvas(data, SETTINGS, tiling)
    except Rejected as error:
        return error.reason, str(error)


cuts = st.builds(lambda data, at: data[: int(at * len(data))], st.sampled_from(list(KINDS.values())), st.floats(0, 1))
positions = st.floats(0, 1, exclude_max=True) | st.floats(0, 0.2)  # headers are at the beginning
flips = st.lists(st.tuples(positions, st.integers(0, 255)), min_size=1, max_size=4)


def flipped(data: bytes, changes: list[tuple[float, int]]) -> bytes:
    changed = bytearray(data)
    for at, value in changes:
        changed[int(at * len(changed))] = value
    return bytes(changed)


corrupt = cuts | st.builds(flipped, st.sampled_from(list(KINDS.values())), flips)


@settings(max_examples=400, deadline=None)
@given(corrupt, st.sampled_from([None, UNSCALED]))
def test_corrupt_files_end_as_with_pillow_alone(data: bytes, tiling: Tiling | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_file, "write_rgb", lambda *_: False)
        patch.setattr(image_file, "ordinary_size", lambda _: None)
        alone = outcome(data, tiling)
    assert outcome(data, tiling) == alone
