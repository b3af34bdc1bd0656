"""An image decoded in this very process, which a hostile file may bring down: for files that are known."""

from __future__ import annotations

from sightstream.pipeline.decode.arrangement import Tiling
from sightstream.pipeline.decode.picture import draw
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.types import Canvas, Pixels


def decode(data: bytes, settings: DecodeSettings) -> Pixels:
    """Upright RGB on white. Raises Rejected."""
    own = _OwnMemory()
    drawn = draw(data, settings.limits(), own.room)
    return Pixels(bytes(own.pixels), drawn.width, drawn.height, drawn.format)


def decode_to_canvas(data: bytes, settings: DecodeSettings, tiling: Tiling) -> Canvas:
    """The same, laid out in tiles. Raises Rejected."""
    own = _OwnMemory()
    drawn = draw(data, settings.limits(tiling), own.room)
    size = (drawn.width, drawn.height)
    return Canvas(bytes(own.pixels), drawn.rows, drawn.columns, tiling.side, *size, drawn.format)


class _OwnMemory:
    def __init__(self) -> None:
        self.pixels = bytearray()

    def room(self, length: int) -> memoryview:
        self.pixels = bytearray(length)
        return memoryview(self.pixels)
