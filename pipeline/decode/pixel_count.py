"""Reads from a file's first bytes how many pixels it has, and from a JPEG how many scans. Decodes nothing.

The parent reads before any child does, so each reader takes plain numbers at checked places, and ends after a bounded
number of steps; all but `count_jpeg`, which is for the child.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator

from sightstream.pipeline.decode.sniff import webp_size

MAX_SEGMENTS = 1000
_MAX_TAGS = 4096
_MAX_BOXES = 256
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS, _CHUNK_FRAME_BYTES = 4096, 12
# In coded data a marker is what follows FF, if not 0, a restart or one more FF: as libjpeg looks for the next one.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_SCAN = re.compile(rb"\xff\xda")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = {0xC0, 0xC1, 0xC9}
_START_OF_SCAN, _END_OF_IMAGE, _NO_SEGMENT = 0xDA, 0xD9, {0x01, 0xD8}
_WIDTH_TAG, _HEIGHT_TAG = 256, 257


def count_pixels(data: bytes, kind: str) -> int | None:
    """Return width times height of a file that is no JPEG; None where they are not where they ought to be."""
    try:
        return _READERS[kind](data)
    except (struct.error, OverflowError):
        return None


def has_many_chunks(png: bytes) -> bool:
    """Return whether there are more than 4,096 chunks: encoders put 8 KiB or more into each, so that is 32 MiB."""
    at = len(_PNG_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if at >= len(png):
            return False
        at += _CHUNK_FRAME_BYTES + int.from_bytes(png[at : at + 4], "big")
    return True


def bound_jpeg(data: bytes) -> tuple[int, int] | None:
    """Return (pixels, scans), the scans at most: bytes that look like one count. None where the start is unusual."""
    found = count_jpeg(data, lambda _: 1, MAX_SEGMENTS)
    return found if found is None or found[1] == 1 else (found[0], len(_JPEG_SCAN.findall(data)))


def count_jpeg(
    data: bytes, most_scans: Callable[[int], float], most_segments: float = math.inf
) -> tuple[int, int] | None:
    """Return (pixels, scans), the scans as a decoder finds them, up to one more than so many pixels may have.

    None where no frame comes before the first scan, or there are too many segments.
    """
    pixels, components, sequential, scans = 0, 0, False, 0
    for number, (marker, start) in enumerate(_segments(data)):
        if number > most_segments:
            return None
        if marker == _START_OF_SCAN:
            scans += 1
            if not pixels:
                return None
            if scans > most_scans(pixels):
                break
            if sequential and scans == 1 and data[start + 2 : start + 3] == bytes([components]):
                break  # all components in one scan: decoders stop at its end
        elif marker in _FRAMES and not pixels and len(data) >= start + 8:
            height, width, components = struct.unpack_from(">HHB", data, start + 3)
            pixels, sequential = width * height, marker in _SEQUENTIAL
    return (pixels, max(scans, 1)) if pixels else None


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, start of its segment) up to the end of the image."""
    at = 2
    while True:
        found = _JPEG_MARKER.search(data, at)
        if found is None or data[found.end() - 1] == _END_OF_IMAGE:
            return
        marker, at = data[found.end() - 1], found.end()
        if marker not in _NO_SEGMENT:
            yield marker, at
            at += int.from_bytes(data[at : at + 2], "big")


def _png(data: bytes) -> int:
    width, height = struct.unpack_from(">II", data, 16)
    return int(width * height)


def _gif(data: bytes) -> int:
    width, height = struct.unpack_from("<HH", data, 6)
    return int(width * height)


def _bmp(data: bytes) -> int:
    os2 = data[14:18] == b"\x0c\0\0\0"
    width, height = struct.unpack_from("<HH" if os2 else "<ii", data, 18)
    return abs(int(width * height))


def _webp(data: bytes) -> int | None:
    size = webp_size(data)
    return None if size is None else size[0] * size[1]


def _tiff(data: bytes) -> int | None:
    order, big = "<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+")
    count_format, entry_format = (order + "Q", order + "HHQ8s") if big else (order + "H", order + "HHI4s")
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(count_format, data, at)
    at += struct.calcsize(count_format)
    size: dict[int, int] = {}
    for entry in range(min(count, _MAX_TAGS)):
        tag, kind, _, value = struct.unpack_from(entry_format, data, at + entry * struct.calcsize(entry_format))
        if tag in (_WIDTH_TAG, _HEIGHT_TAG):
            (size[tag],) = struct.unpack_from(order + {3: "H", 4: "I"}.get(kind, "B"), value)
    return size[_WIDTH_TAG] * size[_HEIGHT_TAG] if len(size) == 2 else None


def _iso_container(data: bytes) -> int | None:
    """Return the pixels of the largest image in the container: one of tiles says its full size, too."""
    largest, at = 0, 0
    for _ in range(_MAX_BOXES):
        at = data.find(b"ispe", at) + 4
        if at < 4 or at + 12 > len(data):
            break
        width, height = struct.unpack_from(">II", data, at + 4)
        largest = max(largest, width * height)
    return largest or None


_READERS = {
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WEBP": _webp,
    "TIFF": _tiff,
    "AVIF": _iso_container,
    "HEIC": _iso_container,
}
