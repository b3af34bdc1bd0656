"""A failed decode process blames its image only after a decoder that works has failed on it again."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightstream.infra.lab.fuzz.corpus import encoded, sample_image
from sightstream.pipeline.child_signals import was_killed
from sightstream.pipeline.decode import process
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.health_check import HEALTH_CHECK_IMAGE
from sightstream.pipeline.decode.inline import decode
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.errors import PipelineError, Rejected, Retryable
from sightstream.pipeline.metrics import DECODER_UNFILTERED
from sightstream.pipeline.own_parts import DECODER
from sightstream.pipeline.types import Canvas, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage

pytestmark = pytest.mark.slow

SETTINGS = DecodeSettings(processes=1, timeout_s=1)
GOOD = encoded(sample_image(), "PNG")

# The decode process itself; but `failures` lists how it fails on its next requests, one a line, "ok" for not at all. An
# outsider's signal differs from its own only in who sends it.
FAILING = """
import os, signal, sys, time
from sightstream.pipeline.decode import child
from sightstream.pipeline.decode.limits import Limits
handle = child._handle
report = os.open({report!r}, os.O_RDWR | os.O_APPEND)
failures = os.open({failures!r}, os.O_RDONLY)
def handle_or_fail(request, *rest):
    done = len(os.pread(report, 9999, 0).split())
    os.write(report, b"%d\\n" % request.length)
    lines = os.pread(failures, 9999, 0).split()
    failure = lines[done] if done < len(lines) else b"ok"
    if failure == b"exit":
        os._exit(3)
    if failure == b"stall":
        time.sleep(60)
    if failure != b"ok":
        signal.raise_signal(int(failure))
        time.sleep(60)
    return handle(request, *rest)
child._handle = handle_or_fail
child.main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Limits.from_json(sys.argv[4]))
"""


class FailingDecoder:
    """A decoder whose children fail as a test lists; `requests` are the sizes of the images that they got."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures, self.report = folder / "failures", folder / "report"
        for path in (self.failures, self.report):
            path.touch()
        code = FAILING.format(report=str(self.report), failures=str(self.failures))
        monkeypatch.setattr(process, "child_command", lambda: [sys.executable, "-c", code])
        self.decoder = Decoder(SETTINGS)

    def decode(self, *failures: str | int) -> Pixels | Canvas | PipelineError:
        self.failures.write_text("\n".join(map(str, failures)))
        self.report.write_text("")
        try:
            pixels = self.decoder.decode(GOOD)
        except PipelineError as error:
            return error
        self.decoder.release(pixels)
        return pixels

    @property
    def requests(self) -> list[str]:
        names = {len(GOOD): "image", len(HEALTH_CHECK_IMAGE): "health check"}
        return [names[int(size)] for size in self.report.read_text().split()]


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingDecoder]:
    failing = FailingDecoder(tmp_path, monkeypatch)
    yield failing
    failing.decoder.stop()


KILL, SEGV = signal.SIGKILL.value, signal.SIGSEGV.value
ONCE_MORE = ["image", "health check", "image"]


@pytest.mark.parametrize("failure", ["stall", "exit", SEGV, KILL])
def test_one_failure_of_a_child_costs_no_image(failing: FailingDecoder, failure: str | int) -> None:
    assert isinstance(failing.decode(failure), Pixels)
    assert failing.requests == ONCE_MORE


@pytest.mark.parametrize(
    ("failure", "reason"),
    [("stall", Reason.DECODE_TIMEOUT), ("exit", Reason.DECODE_CRASH), (SEGV, Reason.DECODE_CRASH)],
)
def test_an_image_on_which_two_fresh_children_fail_is_rejected(
    failing: FailingDecoder, failure: str | int, reason: Reason
) -> None:
    error = failing.decode(failure, "ok", failure)
    assert isinstance(error, Rejected)
    assert error.reason is reason
    assert failing.requests == ONCE_MORE


def test_a_kill_from_outside_counts_only_at_the_third_time(failing: FailingDecoder) -> None:
    assert isinstance(failing.decode(KILL, "ok", KILL), Pixels)
    error = failing.decode(KILL, "ok", KILL, "ok", KILL)
    assert isinstance(error, Rejected)
    assert error.reason is Reason.DECODE_CRASH
    assert failing.requests == [*ONCE_MORE, "health check", "image"]


def test_different_failures_do_not_add_up(failing: FailingDecoder) -> None:
    assert isinstance(failing.decode("stall", "ok", SEGV, "ok", KILL, "ok", KILL), Pixels)


@pytest.mark.parametrize("failure", ["stall", "exit", SEGV, KILL])
def test_a_decoder_that_fails_on_a_known_good_image_blames_none(failing: FailingDecoder, failure: str | int) -> None:
    error = failing.decode("exit", failure)
    assert isinstance(error, Retryable)
    assert (error.stage, error.dependency) == (Stage.DECODE, DECODER)
    assert failing.requests == ["image", "health check"]
    assert failing.decoder._pool.allocated == 0
    assert isinstance(failing.decode(), Pixels)


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
@pytest.mark.parametrize("call", ["subprocess.Popen", "socket.socketpair"])
def test_a_machine_without_processes_or_memory_blames_no_image_and_leaks_nothing(
    number: int, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    decoder = Decoder(SETTINGS)
    with monkeypatch.context() as patch:
        patch.setattr(f"{process.__name__}.{call}", fail)
        before = open_files()
        for _ in range(20):
            with pytest.raises(Retryable, match=os.strerror(number)) as caught:
                decoder.decode(GOOD)
            assert (caught.value.stage, caught.value.dependency) == (Stage.DECODE, DECODER)
        assert open_files() <= before
    assert decoder._pool.allocated == 0
    assert decoder.decode(GOOD).width
    decoder.stop()


def test_a_program_that_cant_be_executed_leaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(SETTINGS)
    monkeypatch.setattr(process, "child_command", lambda: ["/nowhere/python"])
    before = open_files()
    for _ in range(5):
        with pytest.raises(Retryable, match="No such file"):
            decoder.decode(GOOD)
    assert open_files() <= before
    decoder.stop()


@pytest.mark.parametrize("tiling", [None, Tiling(32, 4)])
def test_the_known_good_image_passes_the_narrowest_limits(tiling: Tiling | None) -> None:
    narrow = DecodeSettings(max_pixels=1, max_aspect_ratio=1)
    assert bytes(decode(HEALTH_CHECK_IMAGE, narrow).buffer()) == b"\x80\x80\x80"
    decoder = Decoder(narrow.model_copy(update={"processes": 1}), tiling)
    assert decoder.decode(HEALTH_CHECK_IMAGE).width == 1
    decoder.stop()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS"])
def test_signals_that_a_process_brings_upon_itself_are_its_own(name: str) -> None:
    assert not was_killed(-signal.Signals[name].value)


def test_other_signals_come_from_outside_and_exit_codes_do_not() -> None:
    for name in ("SIGKILL", "SIGTERM", "SIGHUP"):
        run = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        run.send_signal(signal.Signals[name])
        assert was_killed(run.wait())
    for code in (0, 1, 70, 137):
        assert not was_killed(code)


UNFILTERED = """
import sys
from sightstream.pipeline.decode import child, sandbox
from sightstream.pipeline.decode.limits import Limits
sandbox.install_filter = lambda: "seccomp: Function not implemented"
child.main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Limits.from_json(sys.argv[4]))
"""


def test_a_system_without_filters_of_calls_decodes_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "child_command", lambda: [sys.executable, "-c", UNFILTERED])
    decoder, before = Decoder(SETTINGS), DECODER_UNFILTERED._value.get()
    decoder.release(decoder.decode(GOOD))
    assert DECODER_UNFILTERED._value.get() == before + 1
    assert "without its filter of system calls: seccomp: Function not implemented" in caplog.text
    decoder.stop()
