"""Decodes a JPEG straight to packed RGB in its final memory; Pillow decodes to four bytes per pixel and packs later.

The decoder is libjpeg-turbo, which Pillow uses as well, so the pixels are the same.
"""

from __future__ import annotations

from sightstream.pipeline.decode.output import AllocateOutput


def load_decoder() -> None:
    """Import what `write_rgb` needs. It brings numpy, which only children without a tiling need."""
    import simplejpeg  # noqa: F401


def write_rgb(data: bytes, width: int, height: int, allocate: AllocateOutput) -> bool:
    """Decode into the allocated output. Raises OutOfSharedMemory.

    False: this decoder finds a fault in the file, and the caller must try another.
    """
    import simplejpeg

    output = allocate(width * height * 3)
    try:
        pixels = simplejpeg.decode_jpeg(data, "RGB", buffer=output)
    except Exception:  # decoders raise nearly anything on a bad file
        return False
    return bool(pixels.shape == (height, width, 3))
