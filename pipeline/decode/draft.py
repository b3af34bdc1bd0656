"""A large JPEG decoded at a half, a quarter or an eighth: its format allows it, and it costs a fraction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

from PIL import ExifTags, Image

from sightstream.pipeline.decode.layout import Box, layout_of
from sightstream.pipeline.decode.limits import Limits

_Number = TypeVar("_Number", int, float)

MARGIN = 1.2  # decoded at just the wanted size, an image would be sharper than one that is scaled to it

# EXIF orientations by what they do: rows become columns; what lay at the left, at the top, comes to the other side.
_ON_ITS_SIDE = (5, 6, 7, 8)
_MIRRORED_X = (2, 3, 6, 7)
_MIRRORED_Y = (3, 4, 7, 8)


@dataclass(frozen=True, slots=True)
class Draft:
    """`width` and `height` of the whole image, and where it lies in the smaller one, all of them upright.

    The smaller one is rounded up to whole pixels, so the image ends within the last.
    """

    width: int
    height: int
    box: Box


def draft(image: Image.Image, limits: Limits) -> Draft | None:
    """Before the image is loaded: it will be decoded smaller, still larger than wanted. None: it will not."""
    if limits.tiling is None or not limits.draft or image.format not in ("JPEG", "MPO"):
        return None
    turned = orientation(image)
    on_its_side = turned in _ON_ITS_SIDE
    whole = image.size
    width, height = _turned(whole, on_its_side)
    wanted = layout_of(width, height, limits.tiling).scaled
    image.draft(None, _turned((math.ceil(MARGIN * wanted[0]), math.ceil(MARGIN * wanted[1])), on_its_side))
    if image.size == whole:
        return None
    shrunk = round(max(whole) / max(image.size))
    exact = _turned((whole[0] / shrunk, whole[1] / shrunk), on_its_side)
    return Draft(width, height, _box(exact, _turned(image.size, on_its_side), turned))


def _turned(size: tuple[_Number, _Number], on_its_side: bool) -> tuple[_Number, _Number]:
    return (size[1], size[0]) if on_its_side else size


def _box(exact: tuple[float, float], drawn: tuple[int, int], orientation: int) -> Box:
    left = drawn[0] - exact[0] if orientation in _MIRRORED_X else 0
    top = drawn[1] - exact[1] if orientation in _MIRRORED_Y else 0
    return left, top, left + exact[0], top + exact[1]


def orientation(image: Image.Image) -> int:
    """What EXIF says of it: 1 to 8, 1 being upright."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged notes are no reason to refuse the image
        return 1
