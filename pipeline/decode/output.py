"""Writes the pixels of a decoded image as packed RGB, row by row, without a copy in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, cast

from PIL import Image

AllocateOutput = Callable[[int], memoryview]  # returns that many bytes to write to; raises OutOfSharedMemory


class OutOfSharedMemory(Exception):
    """The machine has no memory for the decoded image; the image is not at fault."""


def write(image: Image.Image, allocate: AllocateOutput) -> None:
    """Write an RGB image to the allocated output. Raises OutOfSharedMemory."""
    file = _PixelFile(image, allocate(image.width * image.height * 3))
    image.save(cast("IO[bytes]", file), "PPM")  # Pillow's PPM encoder calls nothing but write()


class _PixelFile:
    """Acts as the file that Pillow writes a PPM to, whose data are the plain pixels after a header.

    So the pixels are written in small pieces while they are packed; `tobytes` would make two more copies of them all.
    """

    def __init__(self, image: Image.Image, output: memoryview) -> None:
        self._output = output
        self._header_left = len(b"P6\n%d %d\n255\n" % image.size)
        self._at = 0

    def write(self, data: bytes) -> int:
        skipped = min(self._header_left, len(data))
        self._header_left -= skipped
        end = self._at + len(data) - skipped
        self._output[self._at : end] = data[skipped:]
        self._at = end
        return len(data)
