"""What carries no pixels can't spoil the picture, and a picture that lacks pixels is never taken for a whole one."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from sightstream.infra.lab.fuzz.corpus import encoded, exif, png, sample_image
from sightstream.pipeline.decode.inline import decode, decode_to_canvas
from sightstream.pipeline.decode.jpeg_end import scans_are_complete
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import Pixels
from tests.pipeline.decode.test_colour import swapped

REJECTS, ACCEPTS = DecodeSettings(), DecodeSettings(truncated="accept")
SIZE = 160, 120


def chunk(name: bytes, data: bytes, checksum: int | None = None) -> bytes:
    sum_ = zlib.crc32(name + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", sum_)


def with_chunk(stored: bytes, file: bytes | None = None, before: bytes = b"IDAT") -> bytes:
    file = file or encoded(sample_image(), "PNG")
    at = file.index(before) - 4
    return file[:at] + stored + file[at:]


def itxt(keyword: bytes, text: bytes) -> bytes:
    return chunk(b"iTXt", keyword + b"\0\1\0\0\0" + zlib.compress(text))


PACKED = zlib.compress(swapped())
LONG_TEXT = b"a" * 8_000_000
ANCILLARY_DAMAGE = {
    "a long text": chunk(b"tEXt", b"Comment\0" + LONG_TEXT),
    "a text that unpacks to more": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG_TEXT)),
    "an international one": itxt(b"Comment", LONG_TEXT),
    "a hundred texts": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG_TEXT[:1_000_000])) * 100,
    "a text named like Pillow's own notes": chunk(b"tEXt", b"transparency\0x") + chunk(b"tEXt", b"icc_profile\0x"),
    "a text without end": chunk(b"zTXt", b"Comment\0\0" + PACKED[:100]),
    "a text of another method": chunk(b"zTXt", b"Comment\0\7abc"),
    "long old EXIF": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  9\n" + LONG_TEXT)),
    "a wrong checksum": chunk(b"tEXt", b"Comment\0text", checksum=1),
    "a short gamma": chunk(b"gAMA", b"\0"),
    "short chromaticities": chunk(b"cHRM", b"\0"),
    "a short resolution": chunk(b"pHYs", b"\0"),
    "an empty rendering intent": chunk(b"sRGB", b""),
    "a profile with a wrong checksum": chunk(b"iCCP", b"p\0\0" + PACKED, checksum=1),
    "a profile cut short": chunk(b"iCCP", b"p\0\0" + PACKED[:50]),
    "a profile of another method": chunk(b"iCCP", b"p\0\7" + PACKED),
    "a profile without a name": chunk(b"iCCP", b""),
    "a profile too long to unpack": chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(20_000_000))),
    "animation without frames": chunk(b"acTL", bytes(8)),
    "a frame of another size": chunk(b"acTL", b"\0\0\0\2" + bytes(4)) + chunk(b"fcTL", bytes(4) + b"\xff" * 22),
    "short animation": chunk(b"acTL", b"") + chunk(b"fcTL", b"") + chunk(b"fdAT", b""),
    "broken EXIF": chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
    "a palette that is a proposal": chunk(b"PLTE", b"x", checksum=1),
    "a private chunk": chunk(b"prVt", b"x", checksum=1),
    "a length too short": struct.pack(">I", 3) + chunk(b"tEXt", b"Comment\0text")[4:],
    "a length too long": struct.pack(">I", 9_000_000) + chunk(b"tEXt", b"Comment\0text")[4:],
}


@pytest.mark.parametrize("name", ANCILLARY_DAMAGE)
def test_damage_beside_the_pixels_changes_nothing(name: str) -> None:
    whole = decode(encoded(sample_image(), "PNG"), REJECTS)
    assert decode(with_chunk(ANCILLARY_DAMAGE[name]), REJECTS) == whole
    assert decode(with_chunk(ANCILLARY_DAMAGE[name], before=b"IEND"), REJECTS) == whole


def test_the_end_of_a_png_may_be_missing() -> None:
    whole = encoded(sample_image(), "PNG")
    for cut in (whole[:-12], whole[:-5], whole[:-12] + b"trailing garbage", whole[:-14]):
        assert decode(cut, REJECTS) == decode(whole, REJECTS)


def test_a_long_profile_is_applied() -> None:
    """Pillow itself refuses one of over a megabyte."""
    profile = swapped() + bytes(2_000_000)
    red = Image.new("RGB", (4, 4), (250, 10, 20))
    data = with_chunk(chunk(b"iCCP", b"p\0\0" + zlib.compress(profile)), encoded(red, "PNG"))
    assert decode(data, REJECTS).buffer()[0] < 40


def test_what_decides_the_pixels_is_kept() -> None:
    image = sample_image("P")
    for options in ({"transparency": bytes(range(256))}, {"exif": exif(6)}, {"icc_profile": swapped()}):
        data = encoded(image, "PNG", **options)
        assert decode(data, REJECTS) != decode(encoded(image, "PNG"), REJECTS)


def test_exif_in_a_text_of_imagemagick_turns() -> None:
    payload = exif(6).tobytes()
    text = b"\nexif\n%8d\n%s\n" % (len(payload), payload.hex().encode())
    for stored in (
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)),
        chunk(b"tEXt", b"Raw profile type exif\0" + text),
    ):
        pixels = decode(with_chunk(stored), REJECTS)
        assert (pixels.width, pixels.height) == sample_image().size[::-1]


def test_damage_to_the_pixels_still_rejects() -> None:
    image = sample_image("P")
    broken = [
        with_chunk(chunk(b"tRNS", b"\0", checksum=1), encoded(image, "PNG")),
        encoded(image, "PNG").replace(b"PLTE\0", b"PLTE\1", 1),
        png(struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0), b"\7" * 200),
    ]
    for data in broken:
        with pytest.raises(Rejected):
            decode(data, REJECTS)


JPEGS = {
    "baseline": encoded(sample_image(size=SIZE), "JPEG"),
    "progressive": encoded(sample_image(size=SIZE), "JPEG", progressive=True),
    "grey": encoded(sample_image("L", SIZE), "JPEG"),
    "cmyk": encoded(sample_image("CMYK", SIZE), "JPEG"),
    "restarts": encoded(sample_image(size=SIZE), "JPEG", restart_marker_rows=1),
    "turned": encoded(sample_image(size=SIZE), "JPEG", exif=exif(6)),
    "thumbnail": encoded(sample_image(size=SIZE), "JPEG", exif=exif(1), comment=b"\xff\xda\xff\xd9"),
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("cut", [1, 2])
def test_the_end_marker_of_a_jpeg_may_be_missing(kind: str, cut: int) -> None:
    whole = JPEGS[kind]
    assert decode(whole[:-cut], REJECTS) == decode(whole, REJECTS)
    tiling = Tiling(32, 1)  # decoded smaller
    assert decode_to_canvas(whole[:-cut], REJECTS, tiling) == decode_to_canvas(whole, REJECTS, tiling)


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_lacks_pixels_is_truncated(kind: str) -> None:
    whole = decode(JPEGS[kind], REJECTS)
    for length in (len(JPEGS[kind]) - 40, len(JPEGS[kind]) * 3 // 4):
        cut = JPEGS[kind][:length]
        with pytest.raises(Rejected, match="truncated"):
            decode(cut, REJECTS)
        part = decode(cut, ACCEPTS)
        assert part.is_truncated
        assert (part.width, part.height) == (whole.width, whole.height)


def test_a_progressive_jpeg_cut_between_two_scans_is_truncated() -> None:
    whole = JPEGS["progressive"]
    assert scans_are_complete(whole)
    last = whole.rindex(b"\xff\xda")
    tables = whole.rindex(b"\xff\xc4", 0, last)
    assert not scans_are_complete(whole[:tables])
    with pytest.raises(Rejected, match="truncated"):
        decode(whole[:tables], REJECTS)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP"])
def test_what_is_there_is_taken_on_request(kind: str) -> None:
    data = encoded(sample_image(size=SIZE), kind)
    whole, cut = decode(data, REJECTS), data[: len(data) // 2]
    with pytest.raises(Rejected, match="truncated"):
        decode(cut, REJECTS)
    part = decode(cut, ACCEPTS)
    assert part.is_truncated
    assert not whole.is_truncated
    row = SIZE[0] * 3
    assert any(
        bytes(part.buffer()[y * row : (y + 1) * row]) == bytes(whole.buffer()[y * row : (y + 1) * row])
        for y in (0, SIZE[1] - 1)  # a BMP begins at the bottom
    )
    canvas = decode_to_canvas(cut, ACCEPTS, Tiling(64, 1))
    assert canvas.is_truncated


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF", "TIFF"])
def test_others_are_refused_as_truncated(kind: str) -> None:
    data = encoded(sample_image(size=SIZE), kind)
    for settings in (REJECTS, ACCEPTS):
        with pytest.raises(Rejected, match="truncated"):
            decode(data[: len(data) * 2 // 3], settings)


def test_whole_images_are_the_same_with_either_setting() -> None:
    for data in JPEGS.values():
        assert decode(data, ACCEPTS) == decode(data, REJECTS)


def test_a_gif_whose_first_frame_is_smaller_leaves_white() -> None:
    frame = encoded(Image.new("P", (4, 4), 0), "GIF", optimize=False)
    data = bytearray(frame)
    data[6:10] = struct.pack("<HH", 10, 6)
    pixels = decode(bytes(data), REJECTS)
    assert isinstance(pixels, Pixels)
    seen = Image.frombytes("RGB", (10, 6), bytes(pixels.buffer()))
    with Image.open(io.BytesIO(frame)) as inner:
        assert seen.crop((0, 0, 4, 4)).tobytes() == inner.convert("RGB").tobytes()
    assert set(seen.crop((4, 0, 10, 6)).tobytes()) == {255}
