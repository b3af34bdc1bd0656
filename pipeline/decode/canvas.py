"""An image scaled and laid on a canvas of tiles, as transformers' own Mllama image processor does it, in bytes.

Splitting into tiles and normalising is left to the engine: there it costs nothing, and a canvas is a quarter of the
floats.
"""

from __future__ import annotations

from PIL import Image

from sightstream.pipeline.decode.arrangement import Tiling
from sightstream.pipeline.decode.layout import lay, layout_of
from sightstream.pipeline.types import Canvas, Pixels


def lay_out(pixels: Pixels, tiling: Tiling) -> Canvas:
    """Scaled to the arrangement of tiles that suits it best, keeping its proportions, at the top left on black."""
    image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.buffer())
    return lay_out_image(image, pixels.format, tiling)


def lay_out_image(image: Image.Image, kind: str, tiling: Tiling) -> Canvas:
    """The same for an upright RGB image; `kind` is the format that it was stored in."""
    layout = layout_of(image.width, image.height, tiling)
    rgb = lay(image, layout).tobytes()
    return Canvas(rgb, layout.rows, layout.columns, tiling.side, image.width, image.height, kind)
