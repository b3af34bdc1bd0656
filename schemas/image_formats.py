"""The one list of image formats: what the decoder reads, what sources take, and what may be uploaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """A format by its name in results, with its media types and the endings of its files; the first are the usual."""

    name: str
    media_types: tuple[str, ...]
    endings: tuple[str, ...]


IMAGE_FORMATS = (
    ImageFormat("JPEG", ("image/jpeg",), (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo")),
    ImageFormat("PNG", ("image/png",), (".png", ".apng")),
    ImageFormat("WEBP", ("image/webp",), (".webp",)),
    ImageFormat("GIF", ("image/gif",), (".gif",)),
    ImageFormat("BMP", ("image/bmp",), (".bmp", ".dib")),
    ImageFormat("TIFF", ("image/tiff",), (".tiff", ".tif", ".btf", ".tf8")),
    ImageFormat("AVIF", ("image/avif",), (".avif", ".avifs")),
    ImageFormat("HEIC", ("image/heic", "image/heif"), (".heic", ".heif", ".hif", ".heics", ".heifs")),
)
IMAGE_ENDINGS = frozenset(ending for each in IMAGE_FORMATS for ending in each.endings)

MAX_BRANDS = 64
START_BYTES = 16 + 4 * MAX_BRANDS  # of a file: enough to tell its format

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",  # BigTIFF
    b"MM\x00+": "TIFF",
}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}


def ending_of(path: str) -> str:
    """Return the ending of a file's name in small letters, with its dot; "" if it has none."""
    return PurePosixPath(path).suffix.lower()


def format_of(data: bytes) -> str | None:
    """Return the name of the format that a file starts as; None: none of the list."""
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return _by_brand(data)


def _by_brand(data: bytes) -> str | None:
    """Return the format of a file in ISO's container, by the brands in its first box."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 16 + 4 * MAX_BRANDS, len(data))
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else None
