"""What a sandboxed decode process cannot do, and that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightstream.infra.lab.fuzz.corpus import encoded, sample_image
from sightstream.infra.lab.fuzz.tally import peak_bytes
from sightstream.pipeline.decode import process
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.inbox import Inbox
from sightstream.pipeline.decode.process import DecodeProcess, child_command
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.memory_file import MemoryFile

REPOSITORY = Path(__file__).parents[3]
GOOD = encoded(sample_image(), "JPEG")
CAP = 512 * 1024**2


@pytest.fixture(params=[None, Tiling(32, 4)], ids=["pixels", "canvases"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoder]:
    monkeypatch.setenv("SIGHTSTREAM_S3_SECRET_ACCESS_KEY", "canary")
    decoder = Decoder(DecodeSettings(processes=1, memory_bytes=CAP), request.param)
    decoder.release(decoder.decode(GOOD))
    yield decoder
    decoder.stop()


def of_child(decoder: Decoder, name: str) -> str:
    return Path(f"/proc/{decoder.pids[0]}/{name}").read_text(encoding="utf-8")


def test_it_has_no_secret_and_no_file_but_its_own(decoder: Decoder) -> None:
    assert "canary" not in of_child(decoder, "environ")
    folder = Path(f"/proc/{decoder.pids[0]}/fd")
    open_files = {os.readlink(entry).split(":")[0] for entry in folder.iterdir()}
    assert open_files == {"/dev/null", "/memfd", f"/proc/{decoder.pids[0]}/statm", "socket"}


def test_its_limits_are_set(decoder: Decoder) -> None:
    limits = {line[:26].strip(): line[26:].split()[:2] for line in of_child(decoder, "limits").splitlines()}
    assert limits["Max open files"] == ["0", "0"]
    assert max(map(int, limits["Max core file size"])) <= 1
    assert limits["Max address space"] == [str(CAP + decoder.memory.size)] * 2
    assert len(os.listdir(f"/proc/{decoder.pids[0]}/task")) == 1


def test_its_memory_stays_under_its_limit(decoder: Decoder) -> None:
    peak, _ = peak_bytes(decoder.pids[0])
    assert 0 < peak - decoder.memory.size < CAP


def test_it_ignores_signals_that_the_parent_handles(decoder: Decoder) -> None:
    pids = decoder.pids
    for stop in (signal.SIGINT, signal.SIGTERM):
        os.kill(pids[0], stop)
    decoder.release(decoder.decode(GOOD))
    assert decoder.pids == pids
    assert os.getpgid(pids[0]) != os.getpgid(0)


AS_ORDINARY_USER = """
import os, sys
from sightstream.pipeline.decode import child
from sightstream.pipeline.decode.limits import Limits
limits = Limits.from_json(sys.argv[4])
child.load()
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
child.main(*map(int, sys.argv[1:4]), limits)
"""


def test_an_ordinary_user_decodes_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some limits do not bind root."""
    monkeypatch.setattr(process, "child_command", lambda: [sys.executable, "-c", AS_ORDINARY_USER])
    decoder = Decoder(DecodeSettings(processes=1))
    for path in sorted((Path(__file__).parent / "corpus").iterdir()):
        decoder.release(decoder.decode(path.read_bytes()))
    status = of_child(decoder, "status")
    assert "Uid:\t0" not in status
    decoder.stop()


SANDBOXED = """
import os, socket, sys
from sightstream.pipeline.decode.sandbox import sandbox
sandbox(0)
tries = [
    lambda: open("/etc/hostname"),
    lambda: open("made", "w"),
    lambda: socket.socket(),
    lambda: os.pipe(),
    lambda: os.memfd_create("x"),
]
for attempt in tries:
    try:
        attempt()
    except OSError:
        continue
    os._exit(1)
os.write(1, b"sandboxed")
"""


def test_no_file_no_socket(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SANDBOXED],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == (b"sandboxed", b"")


PARENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
decoder = Decoder(DecodeSettings(processes=1))
decoder.decode(sys.stdin.buffer.read())
print(decoder.pids[0], flush=True)
time.sleep(600)
"""


def test_it_ends_with_its_parent_even_a_killed_one() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(REPOSITORY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(GOOD)
    parent.stdin.close()
    pid = int(parent.stdout.readline())
    assert _is_running(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while _is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_stop_that_reaches_a_starting_child_is_left_to_the_parent() -> None:
    memory, inbox = MemoryFile(1024), Inbox()
    for stop in (signal.SIGTERM, signal.SIGINT):
        process = DecodeProcess(DecodeSettings().limits(), memory, inbox)
        os.kill(process.pid, stop)
        process.wait_ready()
        os.kill(process.pid, stop)
        assert _is_running(process.pid)
        process.end()
    memory.close()


def test_it_starts_light() -> None:
    """Every image that kills a child costs a start, so it imports neither torch nor pydantic."""
    loaded = subprocess.run(
        [child_command()[0], "-c", "import sightstream.pipeline.decode.child, sys; print(*sys.modules)"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "PIL.Image" in loaded
    assert not {"torch", "pydantic", "numpy", "prometheus_client", "multiprocessing.context"} & set(loaded)
