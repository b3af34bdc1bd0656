"""Detects a file's format by its first bytes alone: names, extensions and Content-Type headers can be forged."""

from __future__ import annotations

import struct

from sightstream.pipeline.errors import Rejected
from sightstream.schemas.image_formats import format_of
from sightstream.schemas.wire.dead_letter import Reason, Stage

_OTHERS = {  # in lower case
    **dict.fromkeys((b"<!doctype html", b"<html", b"<head", b"<body"), "HTML"),
    **dict.fromkeys((b"<?xml", b"<svg"), "XML or SVG"),
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"pk\x03\x04": "ZIP",
    b"%pdf-": "PDF",
    b"{": "JSON",
    b"8bps": "PSD",
    b"\0\0\1\0": "ICO",
    b"\0\0\0\x0cjp  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}


def sniff(data: bytes) -> str:
    """Return the format. Raises Rejected if the pipeline does not accept it."""
    kind = format_of(data)
    if kind is not None:
        return kind
    guess = _looks_like(data)
    hint = f": it looks like {guess}" if guess else ""
    raise Rejected(Reason.NOT_AN_IMAGE, Stage.DECODE, f"not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC file{hint}")


def _looks_like(data: bytes) -> str | None:
    """Guess what the file is instead, for the one who has to find out why; None where nothing is known."""
    start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((name for magic, name in _OTHERS.items() if start.startswith(magic)), None)


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
