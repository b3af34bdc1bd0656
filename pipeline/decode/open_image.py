"""Opens an image file of any format for its first frame, with what Pillow does not do by itself."""

from __future__ import annotations

import io

from PIL import Image

from sightstream.pipeline.decode.formats import pillow_name
from sightstream.pipeline.decode.gif import load_on_white
from sightstream.pipeline.decode.opened import Opened
from sightstream.pipeline.decode.tiff import open_tiff
from sightstream.pipeline.decode.upright import forget_xmp


def open_image(data: bytes, kind: str) -> Opened:
    """Read the header. Raises UnreadableLayout, and nearly anything on a bad file."""
    opened = open_tiff(data) if kind == "TIFF" else _open(data, kind)
    forget_xmp(opened.image)
    return opened


def _open(data: bytes, kind: str) -> Opened:
    image = Image.open(io.BytesIO(data), formats=[pillow_name(kind)])
    return Opened(image, lambda: load_on_white(image) if kind == "GIF" else _loaded(image))


def _loaded(image: Image.Image) -> Image.Image:
    image.load()
    return image
