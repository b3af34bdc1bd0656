"""One image file to upright RGB on white. Runs in the decode child: a hostile file may bring the process down."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TypeVar

from PIL import Image, ImageCms, ImageOps

from pipeline.decode.canvas import lay_out_image
from pipeline.decode.settings import DecodeSettings
from pipeline.decode.tiling import Tiling
from pipeline.errors import Rejected
from pipeline.types import Canvas, Pixels
from schemas.dead_letter import Reason, Stage

Finished = TypeVar("Finished", Pixels, Canvas)

# Formats are told by their first bytes; anything else never reaches a decoder.
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}


def decode(data: bytes, settings: DecodeSettings) -> Pixels:
    """Raises Rejected for whatever a decoder makes of a bad file."""
    return _decode(data, settings, _as_pixels)


def decode_to_canvas(data: bytes, settings: DecodeSettings, tiling: Tiling) -> Canvas:
    """The same, laid out in tiles. Raises Rejected."""
    return _decode(data, settings, lambda image, kind: lay_out_image(image, kind, tiling))


def _decode(data: bytes, settings: DecodeSettings, finish: Callable[[Image.Image, str], Finished]) -> Finished:
    kind = sniff(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return finish(_upright_rgb(data, kind, settings), kind)
    except Rejected:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise _rejected(Reason.TOO_MANY_PIXELS, "the image needs more memory than is allowed") from None
    except Exception as error:  # decoders raise nearly anything on a bad file
        raise _rejected(Reason.IMAGE_CORRUPT, f"the {kind} data is damaged: {type(error).__name__}") from None


def sniff(data: bytes) -> str:
    """The format by content. Raises Rejected when it is none of ours."""
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise _rejected(Reason.NOT_AN_IMAGE, "not a JPEG, PNG, WebP, GIF, BMP or TIFF file")


def _as_pixels(image: Image.Image, kind: str) -> Pixels:
    return Pixels(image.tobytes(), image.width, image.height, kind)


def _upright_rgb(data: bytes, kind: str, settings: DecodeSettings) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=[kind]) as image:
        _check_shape(image.width, image.height, settings)
        image.load()  # the first frame of an animation
        upright = ImageOps.exif_transpose(image)
        return _to_rgb(upright, image.info.get("icc_profile"))


def _check_shape(width: int, height: int, settings: DecodeSettings) -> None:
    if width * height > settings.max_pixels:
        raise _rejected(Reason.TOO_MANY_PIXELS, f"{width} x {height} is over {settings.max_pixels} pixels")
    if max(width, height) > settings.max_aspect_ratio * max(1, min(width, height)):
        raise _rejected(Reason.UNUSABLE_SHAPE, f"{width} x {height} is too thin to look at")


def _to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode.startswith("I"):
        image = _to_8_bit(image)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        return _on_white(image.convert("RGBA"))
    return _to_srgb(image, profile)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit greys scaled down: Pillow's own conversion would turn most of them white."""
    return image.convert("I").point(lambda value: value / 257).convert("L")


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Through the embedded colour profile where it is sound, plainly where it is not."""
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _rejected(reason: Reason, detail: str) -> Rejected:
    return Rejected(reason, Stage.DECODE, detail)
