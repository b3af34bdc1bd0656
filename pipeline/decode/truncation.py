"""Loads files that may end early, without Pillow's switch for that, which holds for a whole process."""

from __future__ import annotations

from PIL import Image, ImageFile

from sightstream.pipeline.decode.jpeg_end import END, load_with_end
from sightstream.pipeline.decode.opened import EndsEarly
from sightstream.pipeline.decode.png import has_end

_BOX_HEADER_BYTES = 8
_MAX_BOXES = 64


def load_pixels(image: Image.Image, data: bytes, accepts_truncated: bool) -> bool:
    """Load the opened image, and return whether it is truncated. Raises EndsEarly if it may not be, or OSError.

    A JPEG that lacks its end marker alone is whole.
    """
    try:
        image.load()
        return False
    except OSError as error:
        if "truncated" not in str(error) or not isinstance(image, ImageFile.ImageFile):
            raise
    if image.format in ("JPEG", "MPO") and load_with_end(image, data):
        return False
    if not accepts_truncated:
        raise EndsEarly
    image.tile = []  # what was decoded so far is the image
    image.load()
    return True


def ends_early(data: bytes, kind: str) -> bool:
    """Return whether the file's own structure says that there should be more of it. False: that, or nobody knows."""
    if kind == "PNG":
        return not has_end(data)
    if kind == "JPEG":
        return END not in data[-1024:]
    if kind == "GIF":
        return not data.rstrip(b"\0").endswith(b";")
    if kind == "WEBP":
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    return kind in ("AVIF", "HEIC") and _boxes_end(data) > len(data)


def _boxes_end(data: bytes) -> int:
    """Return where the outer boxes of ISO's container end."""
    at = 0
    for _ in range(_MAX_BOXES):
        size, header = int.from_bytes(data[at : at + 4], "big"), data[at : at + 16]
        if size == 1:  # in 64 bits behind the name
            size = int.from_bytes(header[8:16], "big")
        if at >= len(data) or size < _BOX_HEADER_BYTES:
            break
        at += size
    return at
