"""A child that a hostile file has taken over sends anything, and the parent goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightstream.infra.lab.fuzz.corpus import encoded, sample_image
from sightstream.pipeline.decode import process
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.health_check import HEALTH_CHECK_IMAGE
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.own_parts import DECODER
from sightstream.pipeline.shared_memory_pool import Block
from sightstream.schemas.wire.dead_letter import Reason

pytestmark = pytest.mark.slow

SETTINGS = DecodeSettings(processes=1, max_pixels=10_000, timeout_s=1)
GOOD = encoded(sample_image(), "PNG")

# A child that starts well, decodes the known-good image, and runs these lines for any other `request`.
HOSTILE = """
import os, struct, sys, time
pipe, inbox, memory = map(int, sys.argv[1:4])
from sightstream.pipeline.decode.wire import *
os.write(pipe, DecodeReply(0, Ready()).pack())
while request := DecodeRequest.unpack(os.read(pipe, REQUEST_BYTES) or sys.exit()):
    if request.length == {health_check_bytes}:
        os.write(pipe, DecodeReply(request.secret, DecodedImage(1, 1, "PNG")).pack())
        continue
    valid = DecodeReply(request.secret, DecodedImage(10, 10, "PNG")).pack()
    {lines}
"""

NONSENSE = {
    "a pickle": "import pickle; os.write(pipe, pickle.dumps(print).ljust(REPLY_BYTES, b'.'))",
    "noise": "os.write(pipe, os.urandom(REPLY_BYTES))",
    "zeros": "os.write(pipe, bytes(REPLY_BYTES))",
    "another request's reply": "os.write(pipe, DecodeReply(request.secret ^ 1, DecodedImage(10, 10, 'PNG')).pack())",
    "ready again": "os.write(pipe, DecodeReply(request.secret, Ready()).pack())",
    "an image of no size": "os.write(pipe, DecodeReply(request.secret, DecodedImage(0, 10, 'PNG')).pack())",
    "an image beyond its block": "os.write(pipe, DecodeReply(request.secret, DecodedImage(10_001, 1, 'PNG')).pack())",
    "a format of its own": "os.write(pipe, valid[:9] + bytes([200]) + valid[10:])",
    "control characters": "os.write(pipe, DecodeReply(request.secret, MemoryShortage('\\x1b[2J')).pack())",
    "an end in the middle": "os.write(pipe, valid[:40]); os._exit(0)",
    "nothing": "os._exit(0)",
}

IMAGE_AT_ONCE = """
import os, sys
from sightstream.pipeline.decode.wire import *
os.write(int(sys.argv[1]), DecodeReply(0, DecodedImage(1, 1, "PNG")).pack())
"""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Decoder]]:
    started: list[Decoder] = []

    def start(lines: str) -> Decoder:
        code = HOSTILE.format(lines=lines, health_check_bytes=len(HEALTH_CHECK_IMAGE))
        monkeypatch.setattr(process, "child_command", lambda: [sys.executable, "-c", code])
        started.append(Decoder(SETTINGS))
        return started[-1]

    yield start
    for decoder in started:
        decoder.stop()


def rejection(decoder: Decoder) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decoder.decode(GOOD)
    assert decoder._pool.allocated == 0
    return caught.value


@pytest.mark.parametrize("lines", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_costs_one_image(lines: str, start: Callable[[str], Decoder]) -> None:
    assert rejection(start(lines)).reason is Reason.DECODE_CRASH


def test_the_next_image_has_a_sound_child(start: Callable[[str], Decoder], monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = start(NONSENSE["noise"])
    rejection(decoder)
    monkeypatch.undo()
    assert decoder.decode(GOOD).format == "PNG"


def test_processes_that_it_started_end_with_it(start: Callable[[str], Decoder], tmp_path: Path) -> None:
    report = tmp_path / "report"
    lines = f"""
    if started := os.fork():
        open({str(report)!r}, "w").write(str(started))
        os._exit(0)
    time.sleep(600)"""
    decoder = start(lines)
    rejection(decoder)
    decoder.stop()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{report.read_text()}/exe").exists():  # a zombie has none
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_reply_that_trickles_in_is_too_late(start: Callable[[str], Decoder]) -> None:
    decoder = start("\n    ".join(["for byte in valid:", "    os.write(pipe, bytes([byte])); time.sleep(0.05)"]))
    assert rejection(decoder).reason is Reason.DECODE_TIMEOUT


def test_silence_times_out(start: Callable[[str], Decoder]) -> None:
    assert rejection(start("time.sleep(60)")).reason is Reason.DECODE_TIMEOUT


def test_a_child_that_peeks_at_requests_and_leaves_them_in_the_pipe_is_ended(start: Callable[[str], Decoder]) -> None:
    """The pipe fills up until no request fits: the parent does not wait for it to drain."""
    lines = """
    import socket
    peeked, answered, parent = socket.socket(fileno=os.dup(pipe)), 0, os.getppid()
    os.write(pipe, valid)
    while os.getppid() == parent:
        next_one = peeked.recv(answered + REQUEST_BYTES, socket.MSG_PEEK)[answered:]
        if len(next_one) == REQUEST_BYTES:
            answered += REQUEST_BYTES
            os.write(pipe, DecodeReply(DecodeRequest.unpack(next_one).secret, DecodedImage(10, 10, "PNG")).pack())"""
    decoder = start(lines)
    decoder.release(decoder.decode(GOOD))
    first = decoder.pids
    while decoder.pids == first:
        decoder.release(decoder.decode(GOOD))


def test_a_second_reply_is_not_taken_for_the_next_image(start: Callable[[str], Decoder]) -> None:
    """A second reply waits in the pipe, without the secret number of the next request: a fresh child gets that one."""
    decoder = start("os.write(pipe, valid + valid)")
    first = decoder.decode(GOOD)
    pid = decoder.pids
    second = decoder.decode(GOOD)
    assert decoder.pids != pid
    for pixels in (first, second):
        decoder.release(pixels)


def test_a_child_cannot_shrink_the_memory_under_its_readers(start: Callable[[str], Decoder], tmp_path: Path) -> None:
    """If the file could be truncated, the parent would die of SIGBUS at its first read."""
    report = tmp_path / "report"
    lines = f"""
    try:
        os.ftruncate(memory, 0)
    except PermissionError:
        open({str(report)!r}, "w").close()
    os.write(pipe, valid)"""
    pixels = start(lines).decode(GOOD)
    assert report.exists()
    assert isinstance(pixels.rgb, Block)
    assert bytes(pixels.buffer()) == bytes(300)


def test_a_machine_without_memory_does_not_reject_the_image(start: Callable[[str], Decoder]) -> None:
    decoder = start(
        "os.write(pipe, DecodeReply(request.secret, MemoryShortage('no shared memory for the decoded image')).pack())"
    )
    with pytest.raises(Retryable, match="no shared memory for the decoded image") as caught:
        decoder.decode(GOOD)
    assert caught.value.dependency == DECODER
    assert decoder._pool.allocated == 0


def test_a_child_that_does_not_start_does_not_reject_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    for code, message in (("raise SystemExit(1)", "SIGHTSTREAM_DECODE_MEMORY_BYTES"), (IMAGE_AT_ONCE, "did not start")):
        monkeypatch.setattr(process, "child_command", lambda code=code: [sys.executable, "-c", code])
        decoder = Decoder(SETTINGS)
        with pytest.raises(Retryable, match=message) as caught:
            decoder.decode(GOOD)
        assert caught.value.dependency == DECODER
        decoder.stop()
