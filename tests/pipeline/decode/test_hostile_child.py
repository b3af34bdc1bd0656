"""A child that a file has taken over: it says what it likes, and the parent goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightstream.infra.lab.fuzz.corpus import encoded, picture
from sightstream.pipeline.decode import process
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.shared_memory_pool import Block
from sightstream.schemas.wire.dead_letter import Reason

SETTINGS = DecodeSettings(processes=1, max_pixels=10_000, timeout_s=1)
GOOD = encoded(picture(), "PNG")

# A child that starts well and then does as its lines say; `order` is what it was asked.
HOSTILE = """
import os, struct, sys, time
pipe, inbox, memory = map(int, sys.argv[1:4])
from sightstream.pipeline.decode.wire import *
os.write(pipe, Answer(0, Ready()).pack())
while order := Order.unpack(os.read(pipe, ORDER_BYTES) or sys.exit()):
    sound = Answer(order.secret, Drawn(10, 10, "PNG")).pack()
    {lines}
"""

NONSENSE = {
    "a pickle": "import pickle; os.write(pipe, pickle.dumps(print).ljust(ANSWER_BYTES, b'.'))",
    "noise": "os.write(pipe, os.urandom(ANSWER_BYTES))",
    "zeros": "os.write(pipe, bytes(ANSWER_BYTES))",
    "another order's answer": "os.write(pipe, Answer(order.secret ^ 1, Drawn(10, 10, 'PNG')).pack())",
    "ready again": "os.write(pipe, Answer(order.secret, Ready()).pack())",
    "a picture of no size": "os.write(pipe, Answer(order.secret, Drawn(0, 10, 'PNG')).pack())",
    "a picture beyond its block": "os.write(pipe, Answer(order.secret, Drawn(10_001, 1, 'PNG')).pack())",
    "a format of its own": "os.write(pipe, sound[:9] + bytes([200]) + sound[10:])",
    "control characters": "os.write(pipe, Answer(order.secret, NoMemory('\\x1b[2J')).pack())",
    "an end in the middle": "os.write(pipe, sound[:40]); os._exit(0)",
    "nothing": "os._exit(0)",
}

DRAWN_AT_ONCE = """
import os, sys
from sightstream.pipeline.decode.wire import *
os.write(int(sys.argv[1]), Answer(0, Drawn(1, 1, "PNG")).pack())
"""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Decoder]]:
    started: list[Decoder] = []

    def start(lines: str) -> Decoder:
        monkeypatch.setattr(process, "program", lambda: [sys.executable, "-c", HOSTILE.format(lines=lines)])
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


def test_what_it_started_ends_with_it(start: Callable[[str], Decoder], tmp_path: Path) -> None:
    told = tmp_path / "told"
    lines = f"""
    if started := os.fork():
        open({str(told)!r}, "w").write(str(started))
        os._exit(0)
    time.sleep(600)"""
    decoder = start(lines)
    rejection(decoder)
    decoder.stop()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{told.read_text()}/exe").exists():  # a zombie has none
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_dribbling_is_no_answer(start: Callable[[str], Decoder]) -> None:
    decoder = start("\n    ".join(["for byte in sound:", "    os.write(pipe, bytes([byte])); time.sleep(0.05)"]))
    assert rejection(decoder).reason is Reason.DECODE_TIMEOUT


def test_silence_is_no_answer(start: Callable[[str], Decoder]) -> None:
    assert rejection(start("time.sleep(60)")).reason is Reason.DECODE_TIMEOUT


def test_orders_that_are_looked_at_and_left_in_the_pipe_end_the_child(start: Callable[[str], Decoder]) -> None:
    """The pipe fills up until no order goes in: the parent does not wait for that."""
    lines = """
    import socket
    looked, answered, parent = socket.socket(fileno=os.dup(pipe)), 0, os.getppid()
    os.write(pipe, sound)
    while os.getppid() == parent:
        next_one = looked.recv(answered + ORDER_BYTES, socket.MSG_PEEK)[answered:]
        if len(next_one) == ORDER_BYTES:
            answered += ORDER_BYTES
            os.write(pipe, Answer(Order.unpack(next_one).secret, Drawn(10, 10, "PNG")).pack())"""
    decoder = start(lines)
    decoder.release(decoder.decode(GOOD))
    first = decoder.pids
    while decoder.pids == first:
        decoder.release(decoder.decode(GOOD))


def test_an_answer_too_many_is_not_the_next_images(start: Callable[[str], Decoder]) -> None:
    """A second answer lies in wait for the next order, whose number it can't know: a fresh child is asked instead."""
    decoder = start("os.write(pipe, sound + sound)")
    first = decoder.decode(GOOD)
    pid = decoder.pids
    second = decoder.decode(GOOD)
    assert decoder.pids != pid
    for pixels in (first, second):
        decoder.release(pixels)


def test_a_child_can_end_no_reader_of_the_memory(start: Callable[[str], Decoder], tmp_path: Path) -> None:
    """Were the file cut, the parent would die at the first look at it."""
    told = tmp_path / "told"
    lines = f"""
    try:
        os.ftruncate(memory, 0)
    except PermissionError:
        open({str(told)!r}, "w").close()
    os.write(pipe, sound)"""
    pixels = start(lines).decode(GOOD)
    assert told.exists()
    assert isinstance(pixels.rgb, Block)
    assert bytes(pixels.buffer()) == bytes(300)


def test_a_machine_without_memory_is_not_the_images_fault(start: Callable[[str], Decoder]) -> None:
    decoder = start("os.write(pipe, Answer(order.secret, NoMemory('no memory for a picture')).pack())")
    with pytest.raises(Retryable, match="no memory for a picture"):
        decoder.decode(GOOD)
    assert decoder._pool.allocated == 0


def test_a_child_that_does_not_start_is_not_the_images_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    for code, says in (("raise SystemExit(1)", "memory cap"), (DRAWN_AT_ONCE, "did not start")):
        monkeypatch.setattr(process, "program", lambda code=code: [sys.executable, "-c", code])
        decoder = Decoder(SETTINGS)
        with pytest.raises(Retryable, match=says):
            decoder.decode(GOOD)
        decoder.stop()
