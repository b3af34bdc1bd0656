"""JPEG straight to packed RGB where it is to lie: Pillow would decode it to four bytes a pixel, to be packed to three.

The decoder is libjpeg-turbo, as Pillow's is, and its pixels are the same.
"""

from __future__ import annotations

from sightstream.pipeline.decode.room import Room


def load_decoder() -> None:
    """What `write_rgb` imports. It brings numpy, which only children that don't lay pictures out need."""
    import simplejpeg  # noqa: F401


def write_rgb(data: bytes, width: int, height: int, room: Room) -> bool:
    """False: this decoder does not take the file as wholly sound, and another is to be asked. Raises NoRoom."""
    import simplejpeg

    into = room(width * height * 3)
    try:
        drawn = simplejpeg.decode_jpeg(data, "RGB", buffer=into)
    except Exception:  # decoders raise nearly anything on a bad file
        return False
    return bool(drawn.shape == (height, width, 3))
