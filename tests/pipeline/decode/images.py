"""Comparison of images, for several tests."""

from __future__ import annotations

from typing import cast

from PIL import Image, ImageChops


def largest_difference(one: Image.Image, other: Image.Image) -> int:
    """Return the largest difference between two RGB images in any channel of any pixel."""
    extremes = cast(
        "tuple[tuple[int, int], ...]", ImageChops.difference(one, other).getextrema()
    )  # a pair for each band
    return max(largest for _, largest in extremes)
