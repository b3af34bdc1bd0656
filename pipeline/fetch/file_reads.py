"""The threads that read files. A read that hangs, as on a network file system, keeps one of them and nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError

# Of one root. Its requests then wait as for one that is down.
MAX_HANGING = 64
# A thread that had nothing to read for so long ends.
IDLE_S = 10.0

_Read = Callable[[], bytes]


class FileReads:
    """Reads the files of one root. Thread safe.

    The system can't be told to give up a read, so one that passes its deadline is left behind. No read starts while
    MAX_HANGING are left behind, or one of its path.
    """

    def __init__(self) -> None:
        self._reads: SimpleQueue[tuple[_Read, Future[bytes]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._running = self._threads = 0
        self._hanging: dict[Future[bytes], str] = {}  # paths

    def run(self, path: str, read: _Read, deadline: Deadline) -> bytes:
        """Return what `read` returns, or raise what it raises. Blocks until `deadline` at most; then TransientError."""
        done: Future[bytes] = Future()
        timeout_s = deadline.remaining_s()
        self._start(path, read, done)
        try:
            return done.result(timeout_s)
        except TimeoutError:
            if done.done():  # the error is the read's own, or it ended just now
                return done.result()
            self._leave_behind(path, done)
            raise _hangs(f"the file is not read in time; {len(self._hanging)} reads below its root hang") from None

    def _start(self, path: str, read: _Read, done: Future[bytes]) -> None:
        with self._lock:
            if path in self._hanging.values():
                raise _hangs("an earlier read of the file still hangs")
            if len(self._hanging) >= MAX_HANGING:
                raise _hangs(f"{MAX_HANGING} reads below its root hang")
            if self._running == self._threads:
                threading.Thread(target=self._work, name="read-files", daemon=True).start()  # or raises
                self._threads += 1
            self._running += 1
            self._reads.put((read, done))

    def _leave_behind(self, path: str, done: Future[bytes]) -> None:
        with self._lock:
            self._hanging[done] = path
        done.add_done_callback(self._forget)  # at once, if it has ended meanwhile

    def _forget(self, done: Future[bytes]) -> None:
        with self._lock:
            del self._hanging[done]

    def _work(self) -> None:
        while True:
            try:
                read, done = self._reads.get(timeout=IDLE_S)
            except Empty:
                if self._may_end():
                    return
                continue
            try:
                found: bytes | BaseException = read()
            except BaseException as error:
                found = error
            with self._lock:
                self._running -= 1
            if isinstance(found, bytes):
                done.set_result(found)
            else:
                done.set_exception(found)

    def _may_end(self) -> bool:
        with self._lock:
            if not self._reads.empty():
                return False
            self._threads -= 1
            return True


def _hangs(detail: str) -> TransientError:
    """Return the error of a read that hangs: the next one within this fetch would, too."""
    error = TransientError(FailureKind.SLOW, detail)
    error.retryable = False
    return error
