"""What else a TIFF file may hold beside its layout: profiles and orientation of planes, numbers that mean nothing."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile

from sightstream.pipeline.decode.inline import decode
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiff_directory import Field, read_directory, shorts, with_directories
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason
from tests.pipeline.decode.test_colour import swapped

SETTINGS = DecodeSettings(max_pixels=1_000_000)


def written(values: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    with tifffile.TiffWriter(out, bigtiff=options.pop("big", False), byteorder=options.pop("order", "<")) as file:
        file.write(values, metadata=None, **options)
    return out.getvalue()


def in_planes(**options: Any) -> bytes:
    """Return 2 x 1 pixels of 16 bits: red, blue."""
    red, green, blue = ([[65535, 0]], [[0, 0]], [[0, 65535]])
    return written(np.array([red, green, blue], "u2"), photometric="rgb", planarconfig="separate", **options)


def pixels(data: bytes) -> list[int]:
    return list(decode(data, SETTINGS).buffer())


def rejection(data: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode(data, SETTINGS)
    return caught.value


def test_planes_are_turned_upright() -> None:
    orientation = [(274, 3, 1, 6, True)]  # the left side is the top
    seen = decode(in_planes(extratags=orientation), SETTINGS)
    assert (seen.width, seen.height) == (1, 2)
    assert list(seen.buffer()) == [255, 0, 0, 0, 0, 255]


def test_planes_have_their_profile() -> None:
    red, *_, blue = pixels(in_planes(iccprofile=swapped()))
    assert red < 40
    assert blue < 60


def test_planes_that_are_missing_are_corrupt() -> None:
    whole = in_planes()
    directory = read_directory(whole)
    fields = {tag: directory.field(tag) for tag in directory.entries}
    fields[279] = shorts("<", 4, 4)
    assert rejection(with_directories(whole, "<", [fields])).reason is Reason.IMAGE_CORRUPT


def test_as_many_samples_as_a_number_holds_cost_nothing() -> None:
    whole = in_planes()
    directory = read_directory(whole)
    fields = {tag: directory.field(tag) for tag in directory.entries}
    fields[277] = shorts("<", 65535)
    assert "this TIFF layout is not read" in str(rejection(with_directories(whole, "<", [fields])))


def test_unsigned_numbers_that_pillow_takes_for_negative_are_refused() -> None:
    assert "2^31" in str(rejection(written(np.array([[0, 2**32 - 1]], "u4"), photometric="minisblack")))
    assert pixels(written(np.array([[0, 65535]], "u4"), photometric="minisblack")) == [0, 0, 0, 255, 255, 255]


def ycbcr(values: Any, coefficients: tuple[int, ...], subsampling: tuple[int, int]) -> bytes:
    data = written(values, photometric="ycbcr", compression=None, subsampling=(1, 1))
    directory = read_directory(data)
    fields = {tag: directory.field(tag) for tag in directory.entries}
    fields[529] = Field(5, 3, struct.pack("<6I", *coefficients))
    fields[530] = shorts("<", *subsampling)
    return with_directories(data, "<", [fields])


BT601, BT709 = (299, 1000, 587, 1000, 114, 1000), (2126, 10_000, 7152, 10_000, 722, 10_000)


@pytest.mark.parametrize(("coefficients", "red", "blue"), [(BT601, 0.299, 0.114), (BT709, 0.2126, 0.0722)])
def test_ycbcr_by_its_own_coefficients(coefficients: tuple[int, ...], red: float, blue: float) -> None:
    y, cb, cr = 120, 150, 100
    r, b = y + (cr - 128) * 2 * (1 - red), y + (cb - 128) * 2 * (1 - blue)
    g = (y - red * r - blue * b) / (1 - red - blue)
    seen = pixels(ycbcr(np.full((2, 2, 3), (y, cb, cr), "u1"), coefficients, (1, 1)))
    assert seen == pytest.approx([r, g, b] * 4, abs=1.5)


def test_fewer_chroma_samples_without_compression() -> None:
    """Four values of Y share a Cb and a Cr: so 4 x 4 pixels fill half of what was written for them."""
    units = np.array([0, 50, 100, 150, 128, 128], "u1")
    data = ycbcr(np.resize(units, (4, 4, 3)), BT601, (2, 2))
    assert pixels(data)[:12] == pytest.approx([0] * 3 + [50] * 3 + [0] * 3 + [50] * 3, abs=1.5)


def test_a_directory_beyond_the_end_is_corrupt() -> None:
    whole = in_planes()
    for cut in (whole[:8], whole[:6], whole[:4] + struct.pack("<I", 2**31) + whole[8:]):
        assert rejection(cut).reason is Reason.IMAGE_CORRUPT


def test_a_size_is_checked_before_planes_are_read() -> None:
    whole = in_planes()
    directory = read_directory(whole)
    fields = {tag: directory.field(tag) for tag in directory.entries}
    fields |= {256: shorts("<", 60_000), 257: shorts("<", 60_000), 278: shorts("<", 60_000)}
    assert rejection(with_directories(whole, "<", [fields])).reason is Reason.TOO_MANY_PIXELS
