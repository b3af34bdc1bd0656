"""The quick reading of a JPEG's header accepts ordinary files alone, and never raises."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sightstream.pipeline.decode.jpeg_header import ordinary_size


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (40, 30)).save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def with_segment(added: bytes) -> bytes:
    data = jpeg()
    return data[:2] + added + data[2:]


def with_frame(**changed: int) -> bytes:
    """Return a JPEG whose frame has another marker, or other content."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    offsets = {"marker": 1, "precision": 4, "height": 6, "width": 8, "components": 9}
    for name, value in changed.items():
        data[at + offsets[name]] = value
    return bytes(data)


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = 6
    return tags


@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        jpeg("L"),
        jpeg(progressive=True),
        jpeg(comment=b"x" * 60_000),
        jpeg(restart_marker_rows=1),
        with_frame(marker=0xC1),
        with_segment(segment(0xFE, b"")),
    ],
    ids=["RGB", "grey", "progressive", "a comment", "restarts", "extended", "an empty comment"],
)
def test_ordinary_files(data: bytes) -> None:
    assert ordinary_size(data) == (40, 30)


@pytest.mark.parametrize(
    "data",
    [
        jpeg(exif=exif()),
        jpeg(icc_profile=b"profile"),
        jpeg("CMYK"),
        jpeg(keep_rgb=True),
        with_segment(segment(0xE2, b"MPF\0")),
        with_segment(segment(0xE0, b"JFIF\0")),
        with_segment(segment(0xC0, b"\x08\0\x10\0\x10\x01\0\x11\0")),
        with_segment(segment(0xFE, b"") * 64),
        with_segment(b"\xff"),
        with_segment(b"\0"),
        with_frame(marker=0xC9),
        with_frame(precision=12),
        with_frame(components=4),
        with_frame(height=0),
        with_frame(width=0),
        jpeg()[:100],
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xda",
    ],
    ids=[
        "EXIF", "a profile", "CMYK", "Adobe's marker", "more images", "a short JFIF marker", "two frames",
        "many comments", "a fill byte",
        "no marker", "arithmetic coding", "12 bits", "4 components", "no height", "no width", "truncated",
        "magic alone", "no frame",
    ],
)  # fmt: skip
def test_other_files_are_left_to_pillow(data: bytes) -> None:
    assert ordinary_size(data) is None


@given(st.binary(max_size=200).map(lambda rest: b"\xff\xd8\xff" + rest))
def test_noise_raises_nothing(data: bytes) -> None:
    ordinary_size(data)
