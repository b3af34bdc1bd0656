"""The parent's hold on one decode process: start it, ask it, end it. Believes nothing that it says."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import time

from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.wire import ANSWER_BYTES, Answer, Drawn, Garbled, Order, Ready, picture_bytes
from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.memory_file import MemoryFile, scratch_file, write_at
from sightstream.pipeline.shared_memory_pool import Block
from sightstream.schemas.wire.dead_letter import Stage

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
INBOX_KEEPS_BYTES = 4 * 1024**2
_TIMEVAL = struct.Struct("ll")
_SECRETS = struct.Struct("<64Q")
# Where the interpreter finds itself; everything else in our environment, secrets included, is not the child's.
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME")


class Died(Exception):
    """The process ended, or lost its mind, in the middle of an image."""


class TimedOut(Exception):
    """No answer in time."""


class DecodeProcess:
    """Starts the process; `wait_ready` is to follow. Used by one thread at a time, `kill` excepted."""

    def __init__(self, limits: Limits, memory: MemoryFile) -> None:
        self._limits = limits
        self._pipe, theirs = socket.socketpair()
        self._patience_s = 0.0
        self._secrets: list[int] = []
        self._inbox = scratch_file()
        handles = (theirs.fileno(), self._inbox, memory.fileno())
        with theirs:
            self._process = subprocess.Popen(
                [*program(), *map(str, handles), limits.to_json()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                pass_fds=handles,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self) -> None:
        """Raises Retryable when it does not start."""
        try:
            answer = Answer.unpack(self._receive(START_TIMEOUT_S))
        except TimeoutError:
            raise Retryable(Stage.DECODE, "the decoder did not start") from None
        except (OSError, Garbled):
            detail = "the decoder died while starting; is its memory cap too low?"
            raise Retryable(Stage.DECODE, detail) from None
        if not isinstance(answer.body, Ready):
            raise Retryable(Stage.DECODE, "the decoder did not start")

    def ask(self, data: bytes, block: Block) -> Answer:
        """The picture goes to the block; a size that the answer gives fits there.

        Blocks for `timeout_s` at most. Raises Died, TimedOut or Retryable; after the first two it is to be ended.
        """
        self._fill_inbox(data)
        secret = self._secret()
        try:
            # A sound child has read all earlier orders: a pipe that is full is no reason to wait.
            self._pipe.sendall(Order(secret, block.offset, block.resident_bytes, len(data)).pack(), socket.MSG_DONTWAIT)
            answer = Answer.unpack(self._receive(self._limits.timeout_s))
            self._check(answer, secret)
        except TimeoutError:
            raise TimedOut from None
        except OSError:
            raise Died from None
        except Garbled as error:
            log.error("a decode process is replaced, for its answer was nonsense: %s", error)
            raise Died from None
        if len(data) > INBOX_KEEPS_BYTES:
            os.ftruncate(self._inbox, 0)
        return answer

    def _secret(self) -> int:
        """Drawn many at a time: a system call, too, is a turn for other threads."""
        if not self._secrets:
            self._secrets.extend(_SECRETS.unpack(os.urandom(_SECRETS.size)))
        return self._secrets.pop()

    def _fill_inbox(self, data: bytes) -> None:
        try:
            write_at(self._inbox, 0, data)
        except OSError as error:
            raise Retryable(Stage.DECODE, f"no memory for an image: {error.strerror}") from None

    def _receive(self, timeout_s: float) -> bytes:
        """One answer. Raises OSError when the process is gone, TimeoutError when it has not come whole in time."""
        deadline = time.monotonic() + timeout_s
        self._wait_at_most(timeout_s)
        data = b""
        while len(data) < ANSWER_BYTES:
            if data:
                self._wait_at_most(deadline - time.monotonic())
            try:
                part = self._pipe.recv(ANSWER_BYTES - len(data))
            except BlockingIOError:
                raise TimeoutError from None
            if not part:
                raise ConnectionResetError("the process is gone")
            data += part
        return data

    def _wait_at_most(self, seconds: float) -> None:
        """The kernel's own limit: Python's would ask before each call whether there is something, and each such call
        is a turn in which other threads get the interpreter."""
        if seconds != self._patience_s:
            whole, rest = divmod(max(int(seconds * 1e6), 1), 1_000_000)  # none at all would mean for ever
            self._pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(whole, rest))
            self._patience_s = seconds

    def _check(self, answer: Answer, secret: int) -> None:
        if answer.secret != secret:
            raise Garbled("it answers what it was not asked")
        if isinstance(answer.body, Ready):
            raise Garbled("it has started already")
        if isinstance(answer.body, Drawn):
            picture_bytes(answer.body, self._limits)

    def kill(self) -> None:
        """Ends every wait for it; `end` is to follow."""
        self._process.kill()

    def end(self) -> None:
        """At once, with what it may have started itself. It writes to the memory no more."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
        self._process.wait()
        self._pipe.close()
        with contextlib.suppress(OSError):
            os.close(self._inbox)


def program() -> list[str]:
    """What is started; the handles of pipe, inbox and memory follow, and the limits."""
    return [sys.executable, "-m", "sightstream.pipeline.decode.child"]


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **passed_on,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONSAFEPATH": "1",
        "OPENBLAS_NUM_THREADS": "1",  # numpy comes with the JPEG decoder, and would start a thread for each core
    }
