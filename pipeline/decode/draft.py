"""Decodes a large JPEG at a half, a quarter or an eighth of its size (DCT scaling), at a fraction of the cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.tiles import Box, choose_layout
from sightstream.pipeline.decode.upright import orientation

_Number = TypeVar("_Number", int, float)

MARGIN = 1.2  # decoded at exactly the target size, an image would be sharper than one that is scaled to it

# EXIF orientations by their effect: rows become columns; the left side, or the top, moves to the other side.
_TRANSPOSED = (5, 6, 7, 8)
_MIRRORED_X = (2, 3, 6, 7)
_MIRRORED_Y = (3, 4, 7, 8)


@dataclass(frozen=True, slots=True)
class Draft:
    """The `width` and `height` of the full image, and the box that it fills in the smaller one, all of them upright.

    The smaller one is rounded up to whole pixels, so the image ends within the last pixel.
    """

    width: int
    height: int
    box: Box


def draft(image: Image.Image, limits: Limits) -> Draft | None:
    """Make an image that is not loaded yet decode smaller, yet larger than its target. None: it decodes in full."""
    if limits.tiling is None or not limits.draft or image.format not in ("JPEG", "MPO"):
        return None
    turn = orientation(image)
    transposed = turn in _TRANSPOSED
    full = image.size
    width, height = _upright(full, transposed)
    target = choose_layout(width, height, limits.tiling).scaled
    image.draft(None, _upright((math.ceil(MARGIN * target[0]), math.ceil(MARGIN * target[1])), transposed))
    if image.size == full:
        return None
    shrunk = round(max(full) / max(image.size))
    exact = _upright((full[0] / shrunk, full[1] / shrunk), transposed)
    return Draft(width, height, _box(exact, _upright(image.size, transposed), turn))


def _upright(size: tuple[_Number, _Number], transposed: bool) -> tuple[_Number, _Number]:
    return (size[1], size[0]) if transposed else size


def _box(exact: tuple[float, float], decoded: tuple[int, int], orientation: int) -> Box:
    left = decoded[0] - exact[0] if orientation in _MIRRORED_X else 0
    top = decoded[1] - exact[1] if orientation in _MIRRORED_Y else 0
    return left, top, left + exact[0], top + exact[1]
