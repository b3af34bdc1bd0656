"""An image decoded in this very process, which a hostile file may bring down: for files that are known."""

from __future__ import annotations

from pipeline.decode.arrangement import Tiling
from pipeline.decode.picture import draw
from pipeline.decode.settings import DecodeSettings
from pipeline.types import Canvas, Pixels


def decode(data: bytes, settings: DecodeSettings) -> Pixels:
    """Upright RGB on white. Raises Rejected."""
    picture = draw(data, settings.limits())
    return Pixels(picture.image.tobytes(), picture.width, picture.height, picture.format)


def decode_to_canvas(data: bytes, settings: DecodeSettings, tiling: Tiling) -> Canvas:
    """The same, laid out in tiles. Raises Rejected."""
    picture = draw(data, settings.limits(tiling))
    layout = picture.layout
    assert layout is not None  # noqa: S101
    return Canvas(
        picture.image.tobytes(),
        layout.rows,
        layout.columns,
        tiling.side,
        picture.width,
        picture.height,
        picture.format,
    )
