"""The work of a file is judged from plain numbers in it, whatever they are, and bombs of scans are refused by it."""

from __future__ import annotations

import contextlib
import io
import math
import re
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sightstream.infra.lab.fuzz.corpus import encoded, sample_image
from sightstream.infra.lab.fuzz.mutate import mutated
from sightstream.pipeline.decode.formats import load_decoders
from sightstream.pipeline.decode.pixel_count import MAX_SEGMENTS, bound_jpeg, count_jpeg, count_pixels
from sightstream.pipeline.decode.sniff import sniff
from sightstream.pipeline.decode.work import check_scans, estimate_work
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
SEEDS = [path.read_bytes() for path in CORPUS]
TIMEOUT_S = 20
HEADS = [
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0",
    b"BM" + bytes(12) + b"\x28\0\0\0", b"RIFF\0\0\0\0WEBPVP8X", b"\0\0\0\x14ftypavif", b"\0\0\0\x14ftypheic",
]  # fmt: skip


def counted(data: bytes) -> tuple[int, int] | None:
    return count_jpeg(data, lambda pixels: math.inf)


def scans(image: Image.Image, times: int) -> bytes:
    """Return a progressive JPEG that repeats its last scan; each scan covers the whole image."""
    data = encoded(image, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_it_counts_the_pixels_of_every_format(path: Path) -> None:
    load_decoders()
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        size, kind = image.width * image.height, sniff(data)
    found = counted(data) if kind == "JPEG" else count_pixels(data, kind)
    assert (found[0] if isinstance(found, tuple) else found) == size
    assert not estimate_work(data, TIMEOUT_S).is_slow


def test_a_png_of_very_many_chunks_is_slow_and_keeps_the_limit_of_its_pixels() -> None:
    plain = encoded(sample_image(), "PNG")
    header_end = plain.index(b"IDAT") - 4
    empty = struct.pack(">I4sI", 0, b"teXt", zlib.crc32(b"teXt"))
    many = plain[:header_end] + empty * 5_000 + plain[header_end:]
    few = plain[:header_end] + empty * 1_000 + plain[header_end:]
    assert (estimate_work(few, TIMEOUT_S).is_slow, estimate_work(many, TIMEOUT_S).is_slow) == (False, True)
    assert estimate_work(many, TIMEOUT_S).limit_s == estimate_work(plain, TIMEOUT_S).limit_s


@given(head=st.sampled_from(HEADS), rest=st.binary(max_size=300))
def test_any_bytes_have_some_work(head: bytes, rest: bytes) -> None:
    check_bounds(head + rest)


@given(number=st.integers(0, 10**9))
def test_any_mutation_has_some_work(number: int) -> None:
    check_bounds(mutated(number, SEEDS))


def check_bounds(data: bytes) -> None:
    work = estimate_work(data, TIMEOUT_S)
    assert 0 < work.limit_s <= TIMEOUT_S
    assert work.expected_s is None or work.expected_s >= 0
    bound, count = bound_jpeg(data), counted(data)
    assert bound is None or (count is not None and bound[0] == count[0] and bound[1] >= count[1])
    with contextlib.suppress(Rejected):
        check_scans(data)


@pytest.mark.parametrize(("options", "count"), [({}, 1), ({"progressive": True}, 10)])
def test_it_counts_the_scans(options: dict[str, bool], count: int) -> None:
    assert counted(encoded(sample_image(), "JPEG", **options)) == (33 * 25, count)


def test_a_sequential_jpeg_with_a_scan_for_each_component_has_several() -> None:
    data = scans(sample_image(), 5)
    sequential = data.replace(b"\xff\xc2", b"\xff\xc0", 1)
    first = sequential.index(b"\xff\xda")
    several = sequential[: first + 4] + b"\x01" + sequential[first + 5 :]
    assert counted(several) == (33 * 25, 14)


def test_scans_hide_neither_behind_junk_nor_behind_an_end_in_a_comment() -> None:
    data = scans(sample_image("L"), 9)
    count = counted(data)
    last = data.rindex(b"\xff\xda")
    comment = b"\xff\xfe\0\x08\xff\xd9\xff\xda\xff\xd9"
    for hidden in (comment, b"junk\xff\0junk\xff\xff", b"\xff\xd0", b"\xff\x01"):
        assert counted(data[:last] + hidden + data[last:]) == count
    assert counted(data + data[last:] * 100) == count, "what follows the end is not decoded"


def test_the_number_of_steps_is_bounded() -> None:
    flood = b"\xff\xd8" + b"\xff\xfe\0\x02" * (2 * MAX_SEGMENTS)
    assert bound_jpeg(flood) is None
    assert estimate_work(flood, TIMEOUT_S).is_slow


def test_scans_are_counted_up_to_the_first_that_is_too_many() -> None:
    assert count_jpeg(scans(sample_image(), 2000), lambda pixels: 50) == (33 * 25, 51)


@pytest.mark.parametrize("times", [700, 2000])
def test_a_bomb_of_scans_is_slow_and_refused(times: int) -> None:
    bomb = scans(Image.new("L", (2500, 2500), 128), times)
    assert estimate_work(bomb, TIMEOUT_S).is_slow
    with pytest.raises(Rejected, match=re.escape("scans make a decoder visit")) as caught:
        check_scans(bomb)
    assert caught.value.reason is Reason.TOO_MANY_PIXELS


def test_ordinary_progressive_files_of_any_size_pass_and_large_ones_are_slow() -> None:
    photograph = scans(sample_image(), 1)
    frame = photograph.index(b"\xff\xc2")
    for side, is_slow in ((1000, False), (6300, True)):
        size = side.to_bytes(2, "big")
        data = photograph[: frame + 5] + size + size + photograph[frame + 9 :]
        assert estimate_work(data, TIMEOUT_S).is_slow is is_slow


def test_what_is_no_image_is_quick_and_what_hides_its_size_is_slow() -> None:
    assert not estimate_work(b"%PDF-", TIMEOUT_S).is_slow
    assert estimate_work(b"\xff\xd8\xff\xd9", TIMEOUT_S).is_slow
    assert estimate_work(b"II*\0", TIMEOUT_S).is_slow
