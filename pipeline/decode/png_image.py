"""Opens a PNG, with the colour that it declares transparent at the file's own depth."""

from __future__ import annotations

import io
from functools import reduce

from PIL import Image, ImageChops, ImageFile, PngImagePlugin

from sightstream.pipeline.decode.opened import FirstFrame, Opened
from sightstream.pipeline.decode.png import plain_png
from sightstream.pipeline.decode.truncation import load_pixels

_STEPS = {"L;2": 85, "L;4": 17}  # from one grey to the next, once they are spread over 8 bits
_RGB16, _RGB16_LOW_BYTES = "RGB;16B", "RGB;16L"


def open_png(data: bytes) -> Opened:
    """Raises nearly anything on a bad file."""
    plain = plain_png(data)
    image = _open(plain.data)
    if plain.profile is not None:
        image.info["icc_profile"] = plain.profile
    layout, transparent = image.tile[0].args if image.tile else None, image.info.get("transparency")
    if isinstance(transparent, int) and layout in _STEPS:
        image.info["transparency"] = transparent * _STEPS[str(layout)]
    if isinstance(transparent, tuple) and layout == _RGB16:
        return Opened(image, lambda truncated: _load_rgb16(image, plain.data, truncated))
    return Opened(image, lambda truncated: FirstFrame(image, load_pixels(image, plain.data, truncated)))


def _open(data: bytes) -> PngImagePlugin.PngImageFile:
    image = Image.open(io.BytesIO(data), formats=["PNG"])
    assert isinstance(image, PngImagePlugin.PngImageFile)  # noqa: S101 -- the only format that was allowed
    return image


def _load_rgb16(image: ImageFile.ImageFile, data: bytes, accepts_truncated: bool) -> FirstFrame:
    """Load the high bytes, and the low ones to compare: a colour is transparent if all its 16 bits are equal."""
    low = _open(data)
    low.tile = [tile._replace(args=_RGB16_LOW_BYTES) for tile in low.tile]
    is_truncated = load_pixels(image, data, accepts_truncated)
    load_pixels(low, data, accepts_truncated)
    colour = image.info.pop("transparency")
    equal = [
        band.point([255 * (value == wanted) for value in range(256)])
        for half, shift in ((image, 8), (low, 0))
        for band, wanted in zip(half.split(), [value >> shift & 255 for value in colour], strict=True)
    ]
    image.putalpha(ImageChops.invert(reduce(ImageChops.darker, equal)))
    return FirstFrame(image, is_truncated)
