"""Leaves out of a PNG what carries no pixels, so that nothing broken or long in it can spoil the picture."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_SIGNATURE_BYTES = 8
_FRAME_BYTES = 12  # length, name and checksum around the data of a chunk
_IS_ANCILLARY = 0x20  # in the first letter of a name
_COLOUR_TYPE_AT, _USES_PALETTE = 9, 3
_NAME = re.compile(rb"[A-Za-z]{4}")
_LANDMARKS = re.compile(rb"IDAT|PLTE|tRNS|IEND")
_MAX_LANDMARKS = 16  # each may cost a checksum of all the rest
_EXIF_TEXT = b"Raw profile type exif\0"  # ImageMagick's, from before there was a chunk for it
_MAX_EXIF_TEXT_BYTES = 256 * 1024
_MAX_PROFILE_BYTES = 8 * 1024**2


@dataclass(frozen=True, slots=True)
class PlainPng:
    """A PNG of one frame without notes, and the colour profile that it had, unpacked."""

    data: bytes
    profile: bytes | None


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    data: memoryview
    stored: memoryview

    @property
    def is_sound(self) -> bool:
        return zlib.crc32(self.data, zlib.crc32(self.name)) == int.from_bytes(self.stored[-4:], "big")


def plain_png(data: bytes) -> PlainPng:
    """Keep the chunks that decide what the first frame shows; faults in them stay for the decoder to find.

    A profile or EXIF counts if it is sound. A file that ends early is closed, and its pixels end where they end.
    """
    kept, profile, uses_palette, pixels_began = [data[:_SIGNATURE_BYTES]], None, False, False
    for chunk in _chunks(data):
        if chunk.name == b"IHDR":
            uses_palette = chunk.data[_COLOUR_TYPE_AT : _COLOUR_TYPE_AT + 1] == bytes([_USES_PALETTE])
        pixels_began = pixels_began or chunk.name == b"IDAT"
        if chunk.name == b"iCCP" and not pixels_began and chunk.is_sound:
            profile = _unpacked(bytes(chunk.data))
        elif _decides(chunk, uses_palette, pixels_began):
            kept.append(bytes(chunk.stored))
    return PlainPng(b"".join(kept) + _chunk(b"IEND", b""), profile)


def has_end(data: bytes) -> bool:
    """Return whether the file has all its chunks."""
    return any(chunk.name == b"IEND" for chunk in _chunks(data))


def _decides(chunk: _Chunk, uses_palette: bool, pixels_began: bool) -> bool:
    if chunk.name == b"PLTE":
        return uses_palette  # else it is a proposal for poor screens
    if chunk.name == b"tRNS":
        return not pixels_began
    if chunk.name == b"eXIf":
        return chunk.is_sound
    if chunk.name in (b"tEXt", b"zTXt"):
        return bytes(chunk.data[: len(_EXIF_TEXT)]) == _EXIF_TEXT and chunk.is_sound and _is_short(chunk)
    return chunk.name != b"IEND" and not chunk.name[0] & _IS_ANCILLARY


def _is_short(chunk: _Chunk) -> bool:
    if chunk.name == b"tEXt":
        return len(chunk.data) <= _MAX_EXIF_TEXT_BYTES
    packed = bytes(chunk.data[len(_EXIF_TEXT) :])
    return packed[:1] == b"\0" and _inflated(packed[1:], _MAX_EXIF_TEXT_BYTES) is not None


def _unpacked(profile: bytes) -> bytes | None:
    """Return the profile of an iCCP chunk: name, 0, method 0, packed profile. None: it is broken or too long."""
    _, _, packed = profile.partition(b"\0")
    return _inflated(packed[1:], _MAX_PROFILE_BYTES) if packed[:1] == b"\0" else None


def _inflated(packed: bytes, most: int) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(packed, most)
    except zlib.error:
        return None
    return data if inflater.eof else None


def _chunks(data: bytes) -> Iterator[_Chunk]:
    view, at = memoryview(data), _SIGNATURE_BYTES
    while at + _SIGNATURE_BYTES <= len(data):
        name, end = data[at + 4 : at + 8], at + _FRAME_BYTES + int.from_bytes(data[at : at + 4], "big")
        leads_on = end == len(data) or _NAME.fullmatch(data, end + 4, end + 8) is not None
        if not leads_on and name[0] & _IS_ANCILLARY and (landmark := _landmark(data, at + 8)) is not None:
            at = landmark
            continue
        if end > len(data):
            closed = memoryview(_chunk(name, data[at + 8 :]))
            yield _Chunk(name, closed[8:-4], closed)
            return
        yield _Chunk(name, view[at + 8 : end - 4], view[at:end])
        if name == b"IEND":
            return
        at = end


def _landmark(data: bytes, start: int) -> int | None:
    """Return where the next sound chunk begins: the length of the one before it is wrong."""
    for _, match in zip(range(_MAX_LANDMARKS), _LANDMARKS.finditer(data, start + 4), strict=False):
        at = match.start() - 4
        end = at + _FRAME_BYTES + int.from_bytes(data[at : at + 4], "big")
        if end <= len(data) and zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big"):
            return at
    return None


def _chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
