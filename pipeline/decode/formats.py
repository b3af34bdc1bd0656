"""Pillow made ready for the formats that we take, and no others."""

from __future__ import annotations

from functools import cache

from sightstream.pipeline.decode.wire import FORMATS

_PILLOWS_NAME = {"HEIC": "HEIF"}


def pillows_name(kind: str) -> str:
    return _PILLOWS_NAME.get(kind, kind)


@cache
def load_decoders() -> None:
    """All that decoding ever imports. One thread each: a process decodes one image at a time."""
    from PIL import (  # noqa: F401
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Image,
        JpegImagePlugin,
        MpoImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )
    from pillow_heif import register_heif_opener

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    missing = {pillows_name(kind) for kind in FORMATS} - Image.OPEN.keys()
    if missing:
        raise ImportError(f"this Pillow reads no {', '.join(sorted(missing))}")
