"""Prepares Pillow for the formats that the pipeline accepts, and no others."""

from __future__ import annotations

from functools import cache

from sightstream.pipeline.decode.wire import FORMATS

_PILLOW_NAMES = {"HEIC": "HEIF"}


def pillow_name(kind: str) -> str:
    return _PILLOW_NAMES.get(kind, kind)


@cache
def load_decoders() -> None:
    """Import everything that decoding needs. One thread per decoder: a process decodes one image at a time."""
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
    missing = {pillow_name(kind) for kind in FORMATS} - Image.OPEN.keys()
    if missing:
        raise ImportError(
            f"this Pillow cannot read {', '.join(sorted(missing))}; install Pillow and pillow-heif from their wheels"
        )
