"""Opens an image file of any format for its first frame, with what Pillow does not do by itself."""

from __future__ import annotations

import io

from PIL import Image

from sightstream.pipeline.decode.formats import pillow_name
from sightstream.pipeline.decode.gif import load_on_white
from sightstream.pipeline.decode.opened import FirstFrame, Opened
from sightstream.pipeline.decode.png_image import open_png
from sightstream.pipeline.decode.tiff import open_tiff
from sightstream.pipeline.decode.truncation import load_pixels
from sightstream.pipeline.decode.upright import forget_xmp


def open_image(data: bytes, kind: str) -> Opened:
    """Read the header. Raises UnreadableLayout, and nearly anything on a bad file."""
    opened = _OPEN[kind](data) if kind in _OPEN else _open(data, kind)
    forget_xmp(opened.image)
    return opened


def _open(data: bytes, kind: str) -> Opened:
    image = Image.open(io.BytesIO(data), formats=[pillow_name(kind)])
    return Opened(image, lambda truncated: FirstFrame(image, load_pixels(image, data, truncated)))


def _open_gif(data: bytes) -> Opened:
    image = Image.open(io.BytesIO(data), formats=["GIF"])
    return Opened(image, lambda truncated: load_on_white(image, data, truncated))


_OPEN = {"TIFF": open_tiff, "PNG": open_png, "GIF": _open_gif}
