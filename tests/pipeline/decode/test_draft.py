"""Large JPEGs decoded smaller: which files it applies to, and how close the result is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
from PIL import Image, JpegImagePlugin

from sightstream.infra.lab.fuzz.corpus import encoded
from sightstream.pipeline.decode.inline import decode, decode_to_canvas
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling, choose_layout
from sightstream.pipeline.types import Canvas

TILING = Tiling(128, 4)
DRAFT, FULL = DecodeSettings(), DecodeSettings(draft=False)
PHOTOS = ["astronaut", "chelsea", "coffee", "rocket"]


def photo(name: str, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB").resize(size, Image.Resampling.BICUBIC)


def jpeg(image: Image.Image) -> bytes:
    return encoded(image, "JPEG", quality=90)


def values(canvas: Canvas) -> npt.NDArray[np.int64]:
    return np.frombuffer(canvas.buffer(), np.uint8).astype(int)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Collect the sizes that JPEGs were decoded at."""
    sizes: list[tuple[int, int]] = []
    load = JpegImagePlugin.JpegImageFile.load

    def load_and_record(self: JpegImagePlugin.JpegImageFile) -> object:
        loaded = load(self)
        if not sizes or sizes[-1] != self.size:
            sizes.append(self.size)
        return loaded

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", load_and_record)
    return sizes


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("size", [(1200, 1200), (1023, 801), (1900, 700)])
def test_photographs_are_close_to_a_full_decode(name: str, size: tuple[int, int]) -> None:
    """The mean difference is under 1 grey level of 255, and 99 % of the values are within 8."""
    data = jpeg(photo(name, size))
    smaller, full = (decode_to_canvas(data, settings, TILING) for settings in (DRAFT, FULL))
    assert (smaller.rows, smaller.columns, smaller.width, smaller.height) == (full.rows, full.columns, *size)
    difference = np.abs(values(smaller) - values(full))
    assert difference.any()
    assert difference.mean() < 1
    assert np.quantile(difference, 0.99) <= 8


@pytest.mark.parametrize("size", [(256, 256), (511, 511), (600, 600), (100, 300), (40, 40)])
def test_an_image_that_is_not_much_too_large_is_decoded_in_full(size: tuple[int, int], decoded: list[object]) -> None:
    data = jpeg(photo("coffee", size))
    assert decode_to_canvas(data, DRAFT, TILING) == decode_to_canvas(data, FULL, TILING)
    assert {*decoded} <= {size}  # none of them where Pillow is not needed


@pytest.mark.parametrize("size", [(620, 620), (1024, 1024), (2500, 2100), (1300, 5000), (4000, 600)])
def test_it_is_always_decoded_larger_than_its_target(size: tuple[int, int], decoded: list[tuple[int, int]]) -> None:
    decode_to_canvas(jpeg(Image.new("RGB", size)), DRAFT, TILING)
    target = choose_layout(*size, TILING).scaled
    assert decoded[-1] != size
    assert decoded[-1][0] >= 1.2 * target[0]
    assert decoded[-1][1] >= 1.2 * target[1]


def test_pixels_and_other_formats_are_never_drafted() -> None:
    image = photo("coffee", (1200, 800))
    assert decode(jpeg(image), DRAFT) == decode(jpeg(image), FULL)
    assert (decode(jpeg(image), DRAFT).width, decode(jpeg(image), DRAFT).height) == (1200, 800)
    png = encoded(image, "PNG", compress_level=1)
    assert decode_to_canvas(png, DRAFT, TILING) == decode_to_canvas(png, FULL, TILING)
