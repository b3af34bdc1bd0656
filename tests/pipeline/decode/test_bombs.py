"""Small files that demand much: pixels, memory, time, frames."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import pytest
from PIL import Image

from sightstream.infra.lab.fuzz.corpus import encoded, png, sample_image
from sightstream.infra.lab.fuzz.tally import peak_bytes
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.metrics import DECODER_RESTARTS
from sightstream.schemas.wire.dead_letter import Reason
from tests.pipeline.decode.test_work import scans

pytestmark = pytest.mark.slow

GOOD = encoded(sample_image(), "PNG")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(DecodeSettings(processes=1))
    decoder.release(decoder.decode(GOOD))
    yield decoder
    decoder.stop()


def reason_of(decoder: Decoder, data: bytes) -> Reason:
    with pytest.raises(Rejected) as caught:
        decoder.decode(data)
    assert decoder._pool.allocated == 0
    return caught.value.reason


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(decoder: Decoder) -> None:
    """It would take half a minute."""
    image, pids = Image.new("L", (2500, 2500), 128), decoder.pids
    decoder.release(decoder.decode(scans(image, 1)))
    assert reason_of(decoder, scans(image, 3000)) is Reason.TOO_MANY_PIXELS
    assert decoder.pids == pids


def test_work_that_no_header_tells_of_ends_with_its_cpu_time() -> None:
    """A chunk costs Pillow more than its 12 bytes cost anyone else. A second try would not cost less."""
    decoder = Decoder(DecodeSettings(processes=1, timeout_s=250))
    chunk = struct.pack(">I4sI", 0, b"abCd", zlib.crc32(b"abCd"))
    restarts = DECODER_RESTARTS._value.get()
    assert reason_of(decoder, GOOD[:33] + chunk * 2_000_000 + GOOD[33:]) is Reason.DECODE_TIMEOUT
    assert DECODER_RESTARTS._value.get() == restarts + 1
    decoder.release(decoder.decode(GOOD))
    decoder.stop()


def test_only_the_first_of_many_frames_costs_time(decoder: Decoder) -> None:
    """Each frame is as large as the image; all of them would take minutes."""
    size = (3000, 3000)
    gif = encoded(Image.new("P", size), "GIF")
    frame = gif[gif.index(b",") : -1]
    pixels = decoder.decode(gif[:-1] + frame * 20_000 + b";")
    assert (pixels.width, pixels.height) == size
    decoder.release(pixels)


@pytest.mark.parametrize("size", [(7000, 7000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_pixels_are_counted_before_any_is_decoded(decoder: Decoder, size: tuple[int, int]) -> None:
    data = png(struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0), b"")
    pids = decoder.pids
    assert reason_of(decoder, data) is Reason.TOO_MANY_PIXELS
    assert decoder.pids == pids


def test_compressed_metadata_is_not_unpacked_without_a_limit(decoder: Decoder) -> None:
    body = b"text\0\0" + zlib.compress(bytes(300_000_000))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    decoder.release(decoder.decode(GOOD[:33] + chunk * 3 + GOOD[33:]))
    assert peak_bytes(decoder.pids[0])[1] < 300_000_000


@pytest.mark.parametrize("size", [(1, 65_500), (65_500, 1), (5, 501)])
def test_an_image_that_is_too_thin_is_rejected(decoder: Decoder, size: tuple[int, int]) -> None:
    assert reason_of(decoder, encoded(Image.new("L", size), "PNG")) is Reason.UNUSABLE_SHAPE


def test_a_child_out_of_memory_reports_it() -> None:
    decoder = Decoder(DecodeSettings(processes=1, max_pixels=10**9, memory_bytes=256 * 1024**2))
    for kind in ("PNG", "GIF"):
        bomb = encoded(Image.new("L", (14_000, 14_000)), kind)
        assert reason_of(decoder, bomb) is Reason.TOO_MANY_PIXELS
        decoder.release(decoder.decode(GOOD))
    decoder.stop()


def test_an_avif_beyond_its_decoders_own_limit_is_too_large(decoder: Decoder) -> None:
    """The decoder takes 16,384 x 16,384 pixels, and calls what is beyond a bad file."""
    data = encoded(sample_image(), "AVIF")
    at = data.index(b"ispe") + 8
    assert reason_of(decoder, data[:at] + struct.pack(">II", 17_000, 17_000) + data[at + 8 :]) is Reason.TOO_MANY_PIXELS
