"""Which files are accepted, by content alone, and how truncated files end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from sightstream.infra.lab.fuzz.corpus import encoded, sample_image
from sightstream.pipeline.decode.inline import decode
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.sniff import sniff, webp_size
from sightstream.pipeline.decode.wire import FORMATS
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import Pixels
from sightstream.schemas.wire.dead_letter import Reason

SETTINGS = DecodeSettings(max_pixels=1_000_000)
CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "avif": "AVIF"}

register_heif_opener()


def reason_of(data: bytes) -> Reason:
    with pytest.raises(Rejected) as caught:
        decode(data, SETTINGS)
    return caught.value.reason


def outcome(data: bytes) -> Pixels | Reason:
    try:
        return decode(data, SETTINGS)
    except Rejected as error:
        return error.reason


def ftyp(major: bytes, *brands: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(brands)
    return (len(body) + 4).to_bytes(4, "big") + body + bytes(100)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_every_file_of_the_corpus_is_decoded(path: Path) -> None:
    pixels = decode(path.read_bytes(), SETTINGS)
    assert pixels.format == KINDS.get(path.suffix[1:], "HEIC")
    assert len(pixels.buffer()) == pixels.width * pixels.height * 3


def test_the_corpus_has_every_format() -> None:
    assert {sniff(path.read_bytes()) for path in CORPUS} == set(FORMATS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_ordinary_files_equal_plain_pillow(kind: str, mode: str) -> None:
    data = encoded(sample_image(mode, (64, 96)), kind)
    pixels = decode(data, SETTINGS)
    with Image.open(io.BytesIO(data)) as plain:
        assert pixels.buffer() == plain.convert("RGB").tobytes()
        assert (pixels.width, pixels.height) == plain.size


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_a_truncated_file_is_rejected_or_lacks_nothing_visible(path: Path) -> None:
    whole = path.read_bytes()
    for percent in (1, 20, 50, 75):
        ending = outcome(whole[: len(whole) * percent // 100])
        # The first of several frames may be whole.
        assert ending in (Reason.IMAGE_CORRUPT, Reason.NOT_AN_IMAGE, decode(whole, SETTINGS))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_half_of_a_file_is_corrupt(kind: str) -> None:
    data = encoded(sample_image(size=(200, 200)), kind)
    assert reason_of(data[: len(data) // 2]) is Reason.IMAGE_CORRUPT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"8BPS\x00\x01" + bytes(40),
        b"BMW builds cars, and this is not an image of one",
        b"\xff\xd8",
        ftyp(b"isom", b"mp42"),
        ftyp(b"qt  "),
        b"RIFF\0\0\0\0WAVEfmt ",
        b"\0\0\0\x0cjP  \r\n\x87\n",
    ],
)
def test_other_content_is_rejected_by_its_first_bytes(data: bytes) -> None:
    assert reason_of(data) is Reason.NOT_AN_IMAGE


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (ftyp(b"avif"), "AVIF"),
        (ftyp(b"mif1", b"miaf", b"avif"), "AVIF"),
        (ftyp(b"heic"), "HEIC"),
        (ftyp(b"mif1", b"heic"), "HEIC"),
        (ftyp(b"msf1"), "HEIC"),
        (b"MM\0+" + bytes(20), "TIFF"),
    ],
)
def test_containers_are_detected_by_their_brands(data: bytes, kind: str) -> None:
    assert sniff(data) == kind


@pytest.mark.parametrize(("mode", "options"), [("RGB", {}), ("RGBA", {}), ("RGB", {"lossless": True})])
def test_the_size_of_a_webp_file_is_known_before_it_is_opened(mode: str, options: dict[str, bool]) -> None:
    assert webp_size(encoded(sample_image(mode, (37, 61)), "WEBP", **options)) == (37, 61)


def test_no_memory_is_allocated_for_a_webp_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(encoded(sample_image("RGBA"), "WEBP"))
    data[24:30] = b"\xff\x3f\x00" * 2
    monkeypatch.setattr(Image, "open", None)
    assert reason_of(bytes(data)) is Reason.TOO_MANY_PIXELS


def test_pixels_beyond_pillows_own_limit_are_too_many_pixels() -> None:
    data = bytearray(encoded(sample_image(), "BMP"))
    data[18:26] = (30_000).to_bytes(4, "little") * 2
    assert reason_of(bytes(data)) is Reason.TOO_MANY_PIXELS


def test_only_the_first_frame_is_decoded() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "blue")]
    for kind in ("GIF", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "MPO"):
        pixels = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:]), SETTINGS).buffer()
        assert pixels[0] > 200, kind
        assert pixels[2] < 60, kind


@pytest.mark.parametrize(
    ("data", "guess"),
    [
        (b"\xef\xbb\xbf \n<!DOCTYPE HTML><title>gone</title>", "HTML"),
        (b"<html lang=en>", "HTML"),
        (b"<?xml version='1.0'?><svg/>", "XML or SVG"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"%PDF-1.7", "PDF"),
        (b'{"error": "gone"}', "JSON"),
    ],
)
def test_what_is_no_image_is_named_where_its_first_bytes_tell(data: bytes, guess: str) -> None:
    with pytest.raises(Rejected, match=f": it looks like {guess}$") as caught:
        sniff(data)
    assert caught.value.reason is Reason.NOT_AN_IMAGE


def test_what_nobody_knows_is_not_guessed() -> None:
    with pytest.raises(Rejected, match=r"HEIC file$"):
        sniff(b"\0\1\2\3")
