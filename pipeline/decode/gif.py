"""Loads a GIF whose first frame may cover a part of its canvas only."""

from __future__ import annotations

from PIL import Image, ImageFile


def load_on_white(image: Image.Image) -> Image.Image:
    """Load the first frame; the canvas around it is clear, as in a browser, where Pillow shows a colour at random."""
    frame = image.tile[0].extents if isinstance(image, ImageFile.ImageFile) and image.tile else None
    image.load()
    if frame is None or frame == (0, 0, *image.size):
        return image
    canvas = Image.new("RGBA", image.size, (255, 255, 255, 0))
    canvas.paste(image.convert("RGBA").crop(frame), frame)
    return canvas
