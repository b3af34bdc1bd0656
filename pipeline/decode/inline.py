"""Decodes an image in the calling process, which a hostile file may crash: for trusted files only."""

from __future__ import annotations

from sightstream.pipeline.decode.image_file import decode_image
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.types import Canvas, Pixels


def decode(data: bytes, settings: DecodeSettings) -> Pixels:
    """Decode to upright RGB on white. Raises Rejected."""
    output = _Output()
    image = decode_image(data, settings.limits(), output.allocate)
    return Pixels(bytes(output.rgb), image.width, image.height, image.format, image.is_truncated)


def decode_to_canvas(data: bytes, settings: DecodeSettings, tiling: Tiling, max_tiles: int | None = None) -> Canvas:
    """Decode and scale onto tiles, `max_tiles` at most where it is given. Raises Rejected."""
    output = _Output()
    image = decode_image(data, settings.limits(tiling).with_tiles(max_tiles), output.allocate)
    of_file = (image.width, image.height, image.format, image.is_truncated)
    return Canvas(bytes(output.rgb), image.rows, image.columns, tiling.side, *of_file)


class _Output:
    """The memory of one decoded image, owned by this process."""

    def __init__(self) -> None:
        self.rgb = bytearray()

    def allocate(self, length: int) -> memoryview:
        self.rgb = bytearray(length)
        return memoryview(self.rgb)
