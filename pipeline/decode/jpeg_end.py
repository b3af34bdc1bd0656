"""Tells a JPEG that lacks its end marker alone from one that lacks pixels (ITU-T T.81, annexes B and G)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from PIL import ImageChops, ImageFile

END = b"\xff\xd9"
_START_OF_SCAN = 0xDA
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MAX_SEGMENTS = 2000
_COEFFICIENTS = 64
# Where pixels are missing these make noise; libjpeg itself goes on with zeros. 255 would be a marker.
_JUNK = bytes(n * 97 % 251 for n in range(2, 200))
_OTHER_JUNK = bytes(254 - byte for byte in _JUNK)


def load_with_end(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Load the opened image as if its file ended properly. Return whether nothing but the end was missing."""
    cut = data[:-1] if data.endswith(b"\xff") else data
    plan = list(image.tile)
    with_junk = [_loaded(image, plan, cut + junk + END).copy() for junk in (_JUNK, _OTHER_JUNK)]
    _loaded(image, plan, cut + END)
    differ = any(ImageChops.difference(other, image).getbbox(alpha_only=False) for other in with_junk)
    return not differ and scans_are_complete(cut)


def _loaded(image: ImageFile.ImageFile, plan: list[ImageFile._Tile], data: bytes) -> ImageFile.ImageFile:
    """Load by the plan that was made when the image was opened, scaled or not."""
    image.tile = list(plan)
    image.fp = io.BytesIO(data)
    image.load()
    return image


def scans_are_complete(data: bytes) -> bool:
    """Return whether the scans that begin in the file hold every component, to the last bit of each coefficient."""
    missing: dict[int, list[int]] = {}  # by component: the bits still to come of each coefficient
    is_progressive = False
    for marker, segment in _segments(data):
        if marker in _FRAMES:
            is_progressive = marker in _PROGRESSIVE
            missing = {segment[at]: [1] * _COEFFICIENTS for at in range(6, len(segment) - 2, 3)}
        elif marker == _START_OF_SCAN:
            *components, first, last, shift = _scan(segment) if is_progressive else (*_scan(segment)[:-3], 0, 63, 0)
            for component in components:
                missing.get(component, [0] * _COEFFICIENTS)[first : last + 1] = [shift] * (last + 1 - first)
    return bool(missing) and not any(map(any, missing.values()))


def _scan(segment: bytes) -> tuple[int, ...]:
    """Return the components, the first and the last coefficient, and the bits left out."""
    count = segment[0]
    first, last, approximation = segment[1 + 2 * count : 4 + 2 * count]
    return (*segment[1 : 1 + 2 * count : 2], min(first, 63), min(last, 63), approximation & 15)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, content) of the segments; entropy-coded data is passed over."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        found = _NEXT_MARKER.search(data, at)
        if found is None:
            return
        start = found.start()
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        content = data[start + 4 : start + 2 + length]
        if len(content) < length - 2 or data[start + 1] == END[1]:
            return
        yield data[start + 1], content
        at = start + 2 + length
