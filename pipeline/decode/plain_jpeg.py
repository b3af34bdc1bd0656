"""Decodes a JPEG straight to packed RGB in its final memory; Pillow decodes to four bytes per pixel and packs later.

The decoder is libjpeg-turbo, which Pillow uses as well, so the pixels are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightstream.pipeline.decode.output import AllocateOutput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Size = tuple[int, int]  # width, height


def load_decoder() -> None:
    """Import what `write_rgb` needs."""
    import simplejpeg  # noqa: F401


def write_rgb(data: bytes, size: Size, canvas: Size, allocate: AllocateOutput) -> bool:
    """Decode an image of this size to the top left of the black canvas, which is the allocated output.

    Raises OutOfSharedMemory. False: this decoder finds a fault in the file, and the caller must try another.
    """
    import simplejpeg

    output = allocate(canvas[0] * canvas[1] * 3)
    try:
        pixels = simplejpeg.decode_jpeg(data, "RGB", buffer=output if size == canvas else None)
    except Exception:  # decoders raise nearly anything on a bad file
        return False
    if pixels.shape != (size[1], size[0], 3):
        return False
    if size != canvas:
        _put_on_black(pixels, canvas, output)
    return True


def _put_on_black(pixels: NDArray[np.uint8], canvas: Size, output: memoryview) -> None:
    import numpy as np

    height, width, _ = pixels.shape
    rows = np.frombuffer(output, np.uint8).reshape(canvas[1], canvas[0], 3)
    rows[:height, :width] = pixels
    rows[:height, width:] = 0
    rows[height:] = 0
