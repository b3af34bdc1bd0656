"""Reads the size of an ordinary JPEG straight from its segments (ITU-T T.81, annex B).

Pillow makes over a hundred calls to open a file; with cold caches that costs a few percent of decoding.
"""

from __future__ import annotations

_START_OF_SCAN, _APP0 = 0xDA, 0xE0
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive, Huffman coded
_TABLES_AND_COMMENTS = {0xC4, 0xDB, 0xDD, 0xFE}
_JFIF_BYTES = 16
_MAX_SEGMENTS = 64


def ordinary_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) if the header holds one frame of grey or three 8-bit components, and nothing that changes
    how they are shown: no profile, no orientation, no second image.

    None: the file needs Pillow's full reading, or is corrupt.
    """
    try:
        return _read_size(data)
    except (ValueError, IndexError):
        return None


def _read_size(data: bytes) -> tuple[int, int] | None:
    size, at = None, 2
    for _ in range(_MAX_SEGMENTS):
        marker, length = _marker(data, at), int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _START_OF_SCAN:
            return size
        if marker in _FRAMES and size is None:
            size = _frame_size(data[at + 4 : at + 2 + length])
        elif not (marker in _TABLES_AND_COMMENTS or (marker == _APP0 and length >= _JFIF_BYTES)):
            return None
        at += 2 + length
    return None


def _marker(data: bytes, at: int) -> int:
    if data[at] != 0xFF:
        raise ValueError("no marker")
    return data[at + 1]


def _frame_size(frame: bytes) -> tuple[int, int]:
    precision, height, width, components = frame[0], frame[1:3], frame[3:5], frame[5]
    size = int.from_bytes(width, "big"), int.from_bytes(height, "big")
    if precision != 8 or components not in (1, 3) or not all(size):
        raise ValueError("not an ordinary frame")
    return size
