"""Where the pixels of a picture are written to: packed RGB, row by row, without a copy in between."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

Room = Callable[[int], memoryview]  # so many bytes to write to; raises NoRoom


class NoRoom(Exception):
    """The machine has no memory for a picture; not the image's fault."""


def write(image: Image.Image, room: Room) -> None:
    """An RGB image. Raises NoRoom."""
    image.save(_PixelsOnly(image, room(image.width * image.height * 3)), "PPM")  # type: ignore[arg-type]


class _PixelsOnly:
    """Stands for the file that Pillow writes a PPM to, whose data are the plain pixels after a header.

    So they are written as they are packed, in small pieces; `tobytes` would make two more copies of them all.
    """

    def __init__(self, image: Image.Image, into: memoryview) -> None:
        self._into = into
        self._header = len(b"P6\n%d %d\n255\n" % image.size)
        self._at = 0

    def write(self, data: bytes) -> int:
        skipped = min(self._header, len(data))
        self._header -= skipped
        end = self._at + len(data) - skipped
        self._into[self._at : end] = data[skipped:]
        self._at = end
        return len(data)
