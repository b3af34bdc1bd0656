"""Detects a file's format by its first bytes alone: names, extensions and Content-Type headers can be forged."""

from __future__ import annotations

import struct

from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage

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
_OTHERS = {  # in lower case
    **dict.fromkeys((b"<!doctype html", b"<html", b"<head", b"<body"), "HTML"),
    **dict.fromkeys((b"<?xml", b"<svg"), "XML or SVG"),
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"pk\x03\x04": "ZIP",
    b"%pdf-": "PDF",
    b"{": "JSON",
}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
MAX_BRANDS = 64


def sniff(data: bytes) -> str:
    """Return the format. Raises Rejected if the pipeline does not accept it."""
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    branded = _by_brand(data)
    if branded is not None:
        return branded
    guess = _looks_like(data)
    hint = f": it looks like {guess}" if guess else ""
    raise Rejected(Reason.NOT_AN_IMAGE, Stage.DECODE, f"not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC file{hint}")


def _looks_like(data: bytes) -> str | None:
    """Guess what the file is instead, for the one who has to find out why; None where nothing is known."""
    start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((name for magic, name in _OTHERS.items() if start.startswith(magic)), None)


def _by_brand(data: bytes) -> str | None:
    """Return the format of a file in ISO's container, by the brands in its first box."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 16 + 4 * MAX_BRANDS, len(data))
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) from a WebP file's header. Its decoder allocates memory before it tells the size."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
