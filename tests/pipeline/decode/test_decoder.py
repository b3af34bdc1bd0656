"""One file to pixels or a canvas: in this process, and in children that die, stall, grow and are replaced."""

from __future__ import annotations

import io
import mmap
import os
import signal
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sightstream.pipeline.decode.child import OutputSlot, _handle
from sightstream.pipeline.decode.decoder import IDLE_BYTES, Decoder
from sightstream.pipeline.decode.inline import decode
from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling, to_tiles
from sightstream.pipeline.decode.wire import DecodeRequest, MemoryShortage
from sightstream.pipeline.errors import Cancelled, Rejected
from sightstream.pipeline.memory_file import MemoryFile, scratch_file
from sightstream.pipeline.shared_memory_pool import Block
from sightstream.pipeline.types import Canvas, Pixels
from sightstream.schemas.wire.dead_letter import Reason

pytestmark = pytest.mark.slow

SETTINGS = DecodeSettings(processes=1, max_pixels=1_000_000, memory_bytes=1024**3)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def gradient(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    image = Image.new("RGB", size)
    image.putdata([(x * 6 % 256, y * 8 % 256, (x + y) % 256) for y in range(size[1]) for x in range(size[0])])
    return image.convert(mode)


def reason_of(data: bytes, decode_settings: DecodeSettings = SETTINGS) -> Reason:
    with pytest.raises(Rejected) as caught:
        decode(data, decode_settings)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_ordinary_files_equal_plain_pillow(kind: str) -> None:
    data = encoded(gradient(), kind)
    pixels = decode(data, SETTINGS)
    assert pixels.rgb == Image.open(io.BytesIO(data)).convert("RGB").tobytes()
    assert (pixels.width, pixels.height, pixels.format) == (40, 30, kind)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    upright = Image.new("RGB", (24, 16), "white")
    upright.paste("red", (0, 0, 12, 8))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode(encoded(stored, "PNG", exif=exif), SETTINGS).rgb == upright.tobytes()


def test_sixteen_bit_greys_keep_their_tone() -> None:
    image = Image.new("I;16", (4, 1))
    for x, value in enumerate([0, 0x4000, 0x8000, 0xFFFF]):
        image.putpixel((x, 0), value)
    assert list(decode(encoded(image, "PNG"), SETTINGS).buffer()[::3]) == pytest.approx([0, 64, 128, 255], abs=1)


def test_transparency_becomes_white() -> None:
    assert decode(encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "PNG"), SETTINGS).rgb == b"\xff" * 12


def test_cmyk_becomes_rgb() -> None:
    data = encoded(gradient("CMYK"), "JPEG")
    assert len(decode(data, SETTINGS).rgb) == 40 * 30 * 3


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data, SETTINGS).buffer()[:3] == b"\xff\x00\x00"


def test_rejections_name_their_reason() -> None:
    whole = encoded(gradient(size=(200, 200)), "JPEG")
    assert reason_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>") is Reason.NOT_AN_IMAGE
    assert reason_of(b"%PDF-1.7") is Reason.NOT_AN_IMAGE
    assert reason_of(whole[: len(whole) // 2]) is Reason.IMAGE_CORRUPT
    assert reason_of(encoded(Image.new("1", (2000, 2000)), "PNG")) is Reason.TOO_MANY_PIXELS
    assert reason_of(encoded(Image.new("L", (1, 5000)), "PNG")) is Reason.UNUSABLE_SHAPE
    assert reason_of(_png_claiming(60_000, 60_000)) is Reason.TOO_MANY_PIXELS


def _png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    with_checksum = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + with_checksum + struct.pack(">I", 10) + b"IDAT" + bytes(10)


WHOLE_FILES = [encoded(gradient(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(WHOLE_FILES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=20),
    st.floats(0, 1),
)
def test_mutated_files_are_decoded_or_rejected(data: bytes, changes: list[tuple[float, int]], keep: float) -> None:
    mutated = bytearray(data)
    for position, value in changes:
        mutated[int(position * len(mutated))] = value
    try:
        pixels = decode(bytes(mutated[: max(1, int(len(mutated) * keep))]), SETTINGS)
    except Rejected:
        return
    assert len(pixels.rgb) == pixels.width * pixels.height * 3


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(SETTINGS)
    yield decoder
    decoder.stop()


def child_pid(decoder: Decoder) -> int:
    process = decoder._children[0]._process
    assert process is not None
    return process.pid


def test_the_child_decodes_and_rejects(decoder: Decoder) -> None:
    data = encoded(gradient(), "PNG")
    pixels = decoder.decode(data)
    assert replace(pixels, rgb=bytes(pixels.buffer())) == decode(data, SETTINGS)
    decoder.release(pixels)
    with pytest.raises(Rejected, match="not a JPEG"):
        decoder.decode(b"text")


def test_children_are_started_only_when_all_running_ones_are_busy() -> None:
    decoder = Decoder(SETTINGS.model_copy(update={"processes": 3}))
    try:
        for _ in range(4):
            decoder.release(decoder.decode(encoded(gradient(), "PNG")))
        assert len(decoder.pids) == 1
    finally:
        decoder.stop()


def test_the_death_of_an_idle_child_costs_no_image(decoder: Decoder) -> None:
    data = encoded(gradient(), "PNG")
    decoder.decode(data)
    os.kill(child_pid(decoder), signal.SIGKILL)
    assert decoder.decode(data).width == 40


def test_one_stall_of_a_child_costs_no_image() -> None:
    decoder = Decoder(SETTINGS.model_copy(update={"timeout_s": 0.5}))
    data = encoded(gradient(), "PNG")
    decoder.decode(data)
    stalled = child_pid(decoder)
    os.kill(stalled, signal.SIGSTOP)
    assert decoder.decode(data).width == 40
    assert child_pid(decoder) != stalled
    decoder.stop()


def test_a_child_is_recycled() -> None:
    decoder = Decoder(SETTINGS.model_copy(update={"images_per_process": 2}))
    data = encoded(gradient(), "PNG")
    seen = set[int]()
    for _ in range(4):
        decoder.decode(data)
        seen.add(child_pid(decoder))
    decoder.stop()
    assert len(seen) == 2


def test_memory_is_capped() -> None:
    capped = SETTINGS.model_copy(update={"max_pixels": 10**9, "memory_bytes": 600 * 1024**2})
    decoder = Decoder(capped)
    bomb = encoded(Image.new("1", (16_000, 16_000)), "PNG")
    with pytest.raises(Rejected) as caught:
        decoder.decode(bomb)
    assert caught.value.reason in (Reason.TOO_MANY_PIXELS, Reason.DECODE_CRASH)
    assert decoder.decode(encoded(gradient(), "PNG")).width == 40
    decoder.stop()


TILING = Tiling(32, 4)
CANVAS_BYTES = TILING.canvas_bytes


@pytest.fixture
def start() -> Iterator[Callable[..., Decoder]]:
    """Decoders with a tiling and memory for two canvases."""
    started: list[Decoder] = []

    def start(**changes: object) -> Decoder:
        started.append(Decoder(SETTINGS.model_copy(update=changes), TILING, 2 * CANVAS_BYTES))
        return started[-1]

    yield start
    for decoder in started:
        decoder.stop()


def allocated(decoder: Decoder) -> int:
    return decoder._pool.allocated


def test_with_a_tiling_the_child_writes_a_canvas_and_only_its_block_comes_back(start: Callable[..., Decoder]) -> None:
    decoder = start()
    canvases = []
    for size in ((40, 30), (200, 40)):
        data = encoded(gradient(size=size), "PNG")
        canvas = decoder.decode(data)
        assert isinstance(canvas, Canvas)
        assert isinstance(canvas.rgb, Block)
        expected = to_tiles(decode(data, SETTINGS), TILING)
        assert (canvas.rows, canvas.columns) == (expected.rows, expected.columns)
        assert len(canvas.rgb) == len(expected.buffer())
        canvases.append((canvas, expected))
    assert all(bytes(canvas.buffer()) == expected.buffer() for canvas, expected in canvases)
    for canvas, _ in canvases:
        decoder.release(canvas)
    assert allocated(decoder) == 0


def test_a_reused_block_holds_nothing_of_the_canvas_before(start: Callable[..., Decoder]) -> None:
    decoder = start()
    decoder.release(decoder.decode(encoded(Image.new("RGB", (64, 64), "white"), "PNG")))
    canvas = decoder.decode(encoded(Image.new("RGB", (10, 32), "black"), "PNG"))
    assert not any(canvas.buffer())


def test_an_image_that_fails_releases_its_block(start: Callable[..., Decoder]) -> None:
    decoder = start()
    for _ in range(5):
        with pytest.raises(Rejected, match="not a JPEG"):
            decoder.decode(b"text")
    assert allocated(decoder) == 0
    assert decoder.decode(encoded(gradient(), "PNG")).width == 40


def test_a_child_that_dies_is_replaced_by_one_with_the_same_memory(start: Callable[..., Decoder]) -> None:
    decoder = start()
    data = encoded(gradient(), "PNG")
    decoder.release(decoder.decode(data))
    os.kill(child_pid(decoder), signal.SIGKILL)
    assert bytes(decoder.decode(data).buffer()) == to_tiles(decode(data, SETTINGS), TILING).buffer()
    assert allocated(decoder) == 1


def test_a_canvas_without_a_free_block_waits_for_a_release(start: Callable[..., Decoder]) -> None:
    decoder = start()
    data = encoded(gradient(), "PNG")
    first, _ = decoder.decode(data), decoder.decode(data)
    third: list[Pixels | Canvas] = []
    waiter = threading.Thread(target=lambda: third.append(decoder.decode(data)))
    waiter.start()
    waiter.join(0.2)
    assert third == []
    decoder.release(first)
    waiter.join(30)
    assert len(third) == 1


def test_stopping_ends_the_wait_for_a_block(start: Callable[..., Decoder]) -> None:
    decoder = start()
    data = encoded(gradient(), "PNG")
    canvases = [decoder.decode(data), decoder.decode(data)]
    ended: list[Exception] = []

    def wait() -> None:
        try:
            decoder.decode(data)
        except Cancelled as error:
            ended.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    decoder.stop()
    waiter.join(30)
    assert len(ended) == 1
    for canvas in canvases:
        decoder.release(canvas)
    assert allocated(decoder) == 0


def test_a_block_that_cannot_be_reserved_is_reported_and_does_not_kill_the_child() -> None:
    memory = MemoryFile(1 << 20)
    unwritable = os.open(f"/proc/self/fd/{memory.fileno()}", os.O_RDONLY)
    writer, inbox = scratch_file()
    data = encoded(gradient(), "PNG")
    os.write(writer, data)
    with mmap.mmap(memory.fileno(), memory.size) as mapping:
        slot = OutputSlot(unwritable, mapping, 0)
        assert isinstance(_handle(DecodeRequest(1, 0, 0, len(data)), inbox, slot, SETTINGS.limits()), MemoryShortage)
    for handle in (unwritable, writer, inbox):
        os.close(handle)
    memory.close()


def test_a_child_that_keeps_too_much_memory_is_recycled_and_no_image_lost(start: Callable[..., Decoder]) -> None:
    data = encoded(gradient(), "PNG")
    for limit, children in ((1, 3), (10**9, 1)):
        decoder = start(resident_bytes=limit)
        seen = set[int]()
        for _ in range(3):
            decoder.release(decoder.decode(data))
            seen.update(decoder.pids)
        assert len(seen) == children


def test_pixels_are_in_shared_memory_and_large_ones_return_their_pages() -> None:
    decoder = Decoder(SETTINGS.model_copy(update={"max_pixels": 40_000_000}))
    large = encoded(Image.new("1", (5000, 6000)), "PNG")
    for data in (large, encoded(gradient(), "PNG"), large):
        pixels = decoder.decode(data)
        assert isinstance(pixels.rgb, Block)
        assert bytes(pixels.buffer()) == decode(data, DecodeSettings()).rgb
        decoder.release(pixels)
        assert os.fstat(decoder.memory.fileno()).st_blocks * 512 <= IDLE_BYTES
    decoder.stop()


def test_an_inbox_does_not_keep_a_large_file() -> None:
    decoder = Decoder(SETTINGS)
    with pytest.raises(Rejected):
        decoder.decode(bytes(10_000_000))
    assert os.fstat(decoder._children[0]._inbox.reader).st_size == 0
    decoder.stop()


def test_the_child_gets_the_same_limits() -> None:
    limits = SETTINGS.limits(TILING)
    assert Limits.from_json(limits.to_json()) == limits
    assert Limits.from_json(SETTINGS.limits().to_json()) == SETTINGS.limits()


def test_a_working_folder_that_is_gone_spoils_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(file, "PNG")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    decoder = Decoder(DecodeSettings(processes=1))
    try:
        decoded = decoder.decode(file.getvalue())
        assert (decoded.width, decoded.height) == (8, 8)
        decoder.release(decoded)
    finally:
        decoder.stop()
