"""Loads a GIF whose first frame may cover a part of its canvas only."""

from __future__ import annotations

from PIL import Image, ImageFile

from sightstream.pipeline.decode.opened import FirstFrame
from sightstream.pipeline.decode.truncation import load_pixels


def load_on_white(image: Image.Image, data: bytes, accepts_truncated: bool) -> FirstFrame:
    """Load the first frame; the canvas around it is clear, as in a browser, where Pillow shows a colour at random."""
    frame = image.tile[0].extents if isinstance(image, ImageFile.ImageFile) and image.tile else None
    is_truncated = load_pixels(image, data, accepts_truncated)
    if frame is None or frame == (0, 0, *image.size):
        return FirstFrame(image, is_truncated)
    canvas = Image.new("RGBA", image.size, (255, 255, 255, 0))
    canvas.paste(image.convert("RGBA").crop(frame), frame)
    return FirstFrame(canvas, is_truncated)
