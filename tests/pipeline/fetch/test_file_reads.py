"""Reads that hang: what they keep is bounded, and whoever waits for them goes on at the deadline."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from sightstream.pipeline.fetch import file_reads
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, rejected
from sightstream.pipeline.fetch.file_reads import FileReads
from sightstream.schemas.wire.dead_letter import Reason
from tests.consumers.waiting import wait_for


class Gate:
    """Reads that end when it opens."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def read(self) -> bytes:
        assert self.event.wait(60)
        return b"late"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.event.set()


def hang(reads: FileReads, path: str, gate: Gate) -> str:
    with pytest.raises(TransientError) as caught:
        reads.run(path, gate.read, Deadline(0.01))
    assert (caught.value.kind, caught.value.retryable) == (FailureKind.SLOW, False)
    return str(caught.value)


def test_a_read_that_hangs_is_left_behind_and_never_joined_by_another_of_its_path(gate: Gate) -> None:
    reads = FileReads()
    assert "not read in time" in hang(reads, "/a", gate)
    assert reads.run("/b", lambda: b"b", Deadline(60)) == b"b"
    for _ in range(100):
        assert "an earlier read" in hang(reads, "/a", gate)
    assert reads._threads == 2
    gate.event.set()
    wait_for(lambda: not reads._hanging)
    assert reads.run("/a", lambda: b"a", Deadline(60)) == b"a"


def test_so_many_may_hang_and_no_more(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_reads, "MAX_HANGING", 3)
    reads = FileReads()
    for number in range(3):
        hang(reads, f"/{number}", gate)
    assert "3 reads below its root hang" in hang(reads, "/more", gate)
    gate.event.set()
    wait_for(lambda: not reads._hanging)
    assert reads.run("/more", lambda: b"more", Deadline(60)) == b"more"


def test_a_path_is_refused_as_long_as_any_read_of_it_hangs(gate: Gate) -> None:
    """Two that began together are both left behind, and one of them ends."""
    reads, other = FileReads(), Gate()
    begun: list[tuple[Gate, Future[bytes]]] = [(gate, Future()), (other, Future())]
    for one, done in begun:
        reads._start("/a", one.read, done)
    for _, done in begun:
        reads._leave_behind("/a", done)
    other.event.set()
    wait_for(lambda: len(reads._hanging) == 1)
    assert "an earlier read" in hang(reads, "/a", gate)


@pytest.mark.parametrize(
    "error", [rejected(Reason.IMAGE_NOT_FOUND, "gone"), OSError(errno.EIO, "x"), TimeoutError(errno.ETIMEDOUT, "x")]
)
def test_the_errors_of_a_read_are_its_own(error: Exception) -> None:
    def read() -> bytes:
        raise error

    with pytest.raises(type(error)) as caught:
        FileReads().run("/a", read, Deadline(60))
    assert caught.value is error


def test_no_read_starts_after_its_deadline(gate: Gate) -> None:
    reads, past = FileReads(), Deadline(0)
    with pytest.raises(TransientError):
        reads.run("/a", gate.read, past)
    assert reads._threads == 0


def test_threads_are_used_again_and_end_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_reads, "IDLE_S", 0.05)
    reads = FileReads()
    for _ in range(50):
        reads.run("/a", lambda: b"a", Deadline(60))
    assert reads._threads <= 1
    wait_for(lambda: reads._threads == 0)
    assert reads.run("/a", lambda: b"a", Deadline(60)) == b"a"


def test_a_machine_without_threads_costs_that_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    reads = FileReads()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            reads.run("/a", lambda: b"a", Deadline(60))
    assert reads.run("/a", lambda: b"a", Deadline(60)) == b"a"


def test_reads_run_at_the_same_time() -> None:
    reads, barrier = FileReads(), threading.Barrier(8)

    def read() -> bytes:
        barrier.wait(60)
        return b"x"

    found: list[bytes] = []
    waiting = [
        threading.Thread(target=lambda n=n: found.append(reads.run(f"/{n}", read, Deadline(60)))) for n in range(8)
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(60)
    assert found == [b"x"] * 8
    assert reads._threads == 8
