"""Converts values wider than 8 bits to 8-bit greys: Pillow's own conversion would turn most of them white."""

from __future__ import annotations

import math
from typing import Any, cast

from PIL import Image, ImageChops, ImageMath

from sightstream.pipeline.decode.opened import UnreadableLayout

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


def is_wide(image: Image.Image) -> bool:
    return image.mode[0] in "IF"


def to_8_bit(image: Image.Image) -> Image.Image:
    """Convert to L, or to LA if the file declares one grey transparent. The format's white becomes 255; values are
    rounded to the nearest.

    Floats and 32-bit integers define no white: it is 1 (floats), 255 or 65535, the least of these that is not
    exceeded, else the largest value. Raises ValueError if that is not finite.
    """
    numbers = image if image.mode == "F" else image.convert("I")
    scale = 255 / _white(image, numbers)
    grey = numbers.point(lambda value: value * scale + 0.5).convert("L")
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = ImageChops.invert(grey)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(_opaque_where_not(transparent, numbers))
    grey.info.pop("transparency", None)
    return grey


def _white(image: Image.Image, numbers: Image.Image) -> float:
    bits = getattr(image, "tag_v2", {}).get(_BITS, ())
    if image.mode.startswith("I;16"):
        return 4095 if bits == (12,) else 65535
    if image.mode == "I" and bits == (16,):
        return 32767  # signed
    least, largest = cast("tuple[float, float]", numbers.getextrema())  # one band: one pair
    if (
        least < 0
        and image.mode == "I"
        and getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, (_UNSIGNED,)) == (_UNSIGNED,)
    ):
        raise UnreadableLayout("unsigned numbers of 2^31 and more")
    if not math.isfinite(largest):
        raise ValueError("the largest value is not finite")
    whites = (1, 255, 65535) if image.mode == "F" else (255, 65535)
    return next((white for white in whites if largest <= white), largest)


def _is_unsigned(image: Image.Image) -> bool:
    """Pillow has no unsigned numbers of 32 bits: it takes the large ones for negative."""
    formats = getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, (_UNSIGNED,))
    return image.mode == "I" and formats == (_UNSIGNED,)


def _opaque_where_not(transparent: int, numbers: Image.Image) -> Image.Image:
    def opaque(images: dict[str, Any]) -> Any:
        return images["convert"]((images["numbers"] != transparent) * 255, "L")

    return cast("Image.Image", ImageMath.lambda_eval(opaque, numbers=numbers))  # "convert" returns an image
