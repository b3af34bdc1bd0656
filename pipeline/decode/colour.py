"""Converts an image of any Pillow mode to sRGB on white."""

from __future__ import annotations

import io
from functools import cache, lru_cache
from typing import cast

from PIL import Image, ImageChops, ImageCms

from sightstream.pipeline.decode.tone import is_wide, to_8_bit

_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
# The image mode that a profile of each colour space applies to.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_GREYS = ("1", "L", "LA", "La")
_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert through the embedded colour profile if it is valid and fits, else directly. May return `image` itself."""
    profile = image.info.get("icc_profile")
    if is_wide(image):
        image = to_8_bit(image)
    if image.mode in _ALPHA or "transparency" in image.info:
        return _on_white(image, profile)
    return _to_srgb(image, profile)


def is_plain(image: Image.Image) -> bool:
    """Return whether the stored grey or RGB values are the final colours. The image need not be loaded."""
    profile = image.info.get("icc_profile")
    return (
        image.mode in ("L", "RGB")
        and "transparency" not in image.info
        and not (profile and _transform(profile, image.mode))
    )


def _on_white(image: Image.Image, profile: bytes | None) -> Image.Image:
    grey = image.mode in _GREYS
    if image.mode in _PREMULTIPLIED:
        if not (profile and _transform(profile, "L" if grey else "RGB")):
            return _premultiplied_on_white(image)
        image = image.convert(_PREMULTIPLIED[image.mode])
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A")
    white = Image.new("RGB", image.size, "white")
    colour = rgba.convert("RGB")
    white.paste(_to_srgb(colour.convert("L") if grey else colour, profile), mask=alpha)
    return white


def _premultiplied_on_white(image: Image.Image) -> Image.Image:
    *colours, alpha = image.split()
    white = ImageChops.invert(alpha)
    bands = [ImageChops.add(colour, white) for colour in colours]
    return Image.merge("RGB", bands * 3 if len(bands) == 1 else bands)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB":
        return _apply(_lab(), image)
    transform = _transform(profile, image.mode) if profile else None
    if transform is not None:
        return _apply(transform, image if image.mode == transform.input_mode else image.convert(transform.input_mode))
    return image if image.mode == "RGB" else image.convert("RGB")


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    return cast("Image.Image", ImageCms.applyTransform(image, transform))  # None is for conversions in place only


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return None if the profile is corrupt, is for another kind of image, or changes nothing, as most do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        profile_mode = _MODES.get(source.profile.xcolor_space.strip())
        if profile_mode is None or not _fits(profile_mode, mode):
            return None
        transform = ImageCms.buildTransform(source, _srgb(), profile_mode, "RGB")
        return None if _is_identity(transform) else transform
    except _PROFILE_ERRORS:
        return None


def _fits(profile_mode: str, mode: str) -> bool:
    if profile_mode == "CMYK" or mode == "CMYK":
        return profile_mode == mode
    return profile_mode == "RGB" or mode in _GREYS


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether no colour of a grid changes by more than rounding.

    Converting costs more than decoding, and most files are sRGB.
    """
    if transform.input_mode == "CMYK":
        return False
    grid = _grid() if transform.input_mode == "RGB" else Image.linear_gradient("L")
    difference = ImageChops.difference(_apply(transform, grid), grid.convert("RGB"))
    extremes = cast("tuple[tuple[int, int], ...]", difference.getextrema())  # RGB: a pair for each band
    return all(largest <= 1 for _, largest in extremes)


@cache
def _grid() -> Image.Image:
    steps = range(0, 256, 15)
    image = Image.new("RGB", (18, 18 * 18))
    image.putdata([(red, green, blue) for red in steps for green in steps for blue in steps])
    return image


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB")
