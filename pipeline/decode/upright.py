"""Turns images upright by EXIF. Containers are turned by their decoders; XMP is a note, and often a stale one."""

from __future__ import annotations

import contextlib

from PIL import ExifTags, Image, ImageOps


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation: 1 to 8, 1 being upright."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # corrupt EXIF must not reject an otherwise valid image
        return 1


def turn_upright(image: Image.Image) -> None:
    """Rotate a loaded image by EXIF. Ignore corrupt EXIF; it must not reject an otherwise valid image."""
    forget_xmp(image)  # a PNG may have it behind its pixels
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def forget_xmp(image: Image.Image) -> None:
    """Make Pillow forget the orientation that XMP states; it would use it where EXIF states none."""
    notes = [image.info.pop(key) for key in ("xmp", "XML:com.adobe.xmp") if key in image.info]
    if notes:
        with contextlib.suppress(Exception):
            image._reload_exif()
