"""Any mode of Pillow's to sRGB on white."""

from __future__ import annotations

import io
from functools import cache, lru_cache

from PIL import Image, ImageChops, ImageCms

from sightstream.pipeline.decode.tone import is_wide, to_8_bit

_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
# What of an image a profile of this colour space is for.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_GREYS = ("1", "L", "LA", "La")
_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def to_rgb(image: Image.Image) -> Image.Image:
    """Through the embedded colour profile where it is sound and fits, plainly where not. May be the image itself."""
    profile = image.info.get("icc_profile")
    if is_wide(image):
        image = to_8_bit(image)
    if image.mode in _ALPHA or "transparency" in image.info:
        return _on_white(image, profile)
    return _to_srgb(image, profile)


def is_plain(image: Image.Image) -> bool:
    """Whether grey or RGB values are all there is to its colours. The image need not be loaded."""
    profile = image.info.get("icc_profile")
    return (
        image.mode in ("L", "RGB")
        and "transparency" not in image.info
        and not (profile and _transform(profile, image.mode))
    )


def _on_white(image: Image.Image, profile: bytes | None) -> Image.Image:
    grey = image.mode in _GREYS
    whole = image.convert("RGBA")
    alpha = whole.getchannel("A")
    white = Image.new("RGB", image.size, "white")
    colour = whole.convert("RGB")
    white.paste(_to_srgb(colour.convert("L") if grey else colour, profile), mask=alpha)
    return white


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab())  # type: ignore[return-value]
    transform = _transform(profile, image.mode) if profile else None
    if transform is not None:
        ready = image if image.mode == transform.input_mode else image.convert(transform.input_mode)
        return ImageCms.applyTransform(ready, transform)  # type: ignore[return-value]
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None where the profile is broken, is for another kind of image, or changes nothing, as most do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        wanted = _MODES.get(source.profile.xcolor_space.strip())
        if wanted is None or not _fits(wanted, mode):
            return None
        transform = ImageCms.buildTransform(source, _srgb(), wanted, "RGB")
        return None if _changes_nothing(transform) else transform
    except _PROFILE_ERRORS:
        return None


def _fits(wanted: str, mode: str) -> bool:
    if wanted == "CMYK" or mode == "CMYK":
        return wanted == mode
    return wanted == "RGB" or mode in _GREYS


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """No colour of a grid by more than rounding. Converting costs more than decoding, and most files are sRGB."""
    if transform.input_mode == "CMYK":
        return False
    grid = _grid() if transform.input_mode == "RGB" else Image.linear_gradient("L")
    converted = ImageCms.applyTransform(grid, transform)
    assert converted is not None  # noqa: S101
    extremes = ImageChops.difference(converted, grid.convert("RGB")).getextrema()
    return all(largest <= 1 for _, largest in extremes)  # type: ignore[misc]


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
