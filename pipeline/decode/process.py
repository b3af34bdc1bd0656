"""The parent's side of one decode process: starts it, sends it images, ends it. Trusts nothing that it sends."""

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
from dataclasses import dataclass

from sightstream.pipeline.child_environment import LOADER, module_environment
from sightstream.pipeline.child_signals import stops_deferred, was_killed
from sightstream.pipeline.decode.health_check import unavailable
from sightstream.pipeline.decode.inbox import Inbox
from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.wire import (
    REPLY_BYTES,
    DecodedImage,
    DecodeReply,
    DecodeRequest,
    ProtocolError,
    Ready,
    output_bytes,
)
from sightstream.pipeline.memory_file import MemoryFile
from sightstream.pipeline.metrics import DECODER_UNFILTERED
from sightstream.pipeline.shared_memory_pool import Block

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
_TIMEVAL = struct.Struct("ll")
_SECRETS = struct.Struct("<64Q")


class ChildFailure(Exception):
    """The process did not decode an image; the caller must call `end`."""


class ChildCrash(ChildFailure):
    """It died by its own doing, or broke the protocol."""


class ChildKilled(ChildFailure):
    """A signal from outside ended it, while it had only this image."""


class ChildTimeout(ChildFailure):
    """It did not reply in time."""


class ChildOverworked(ChildFailure):
    """It spent more CPU time than the image may cost."""


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """A file to decode, for `cpu_s` seconds of CPU time at most; with a tiling, onto `max_tiles` at most."""

    data: bytes
    cpu_s: float
    max_tiles: int | None = None


class DecodeProcess:
    """Starts the process; call `wait_ready` next. For one thread at a time, except `kill`.

    Raises Retryable, with nothing left open, where the machine can't start it.
    """

    def __init__(self, limits: Limits, memory: MemoryFile, inbox: Inbox) -> None:
        self._limits, self._inbox = limits, inbox
        self._receive_timeout_s = 0.0
        self._secrets: list[int] = []
        with contextlib.ExitStack() as opened:
            try:
                self._pipe, child_end = socket.socketpair()
                opened.callback(self._pipe.close)
                with child_end:
                    self._process = _start((child_end.fileno(), inbox.reader, memory.fileno()), limits)
            except OSError as error:
                raise unavailable(f"no decode process can be started: {error.strerror or error}") from None
            opened.pop_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until the process has started. Raises Retryable if it does not; then the caller must call `end`."""
        try:
            reply = DecodeReply.unpack(self._receive(START_TIMEOUT_S))
        except TimeoutError:
            raise unavailable("the decode process did not start") from None
        except (OSError, ProtocolError):
            detail = "the decode process died while starting; try a higher SIGHTSTREAM_DECODE_MEMORY_BYTES"
            raise unavailable(detail) from None
        if not isinstance(reply.body, Ready):
            raise unavailable("the decode process did not start")
        if reply.body.unfiltered:
            DECODER_UNFILTERED.inc()
            log.warning("a decode process runs without its filter of system calls: %s", reply.body.unfiltered)

    def decode(self, task: DecodeTask, block: Block) -> DecodeReply:
        """Let the process decode into the block; an image that the reply describes fits into the block.

        Blocks for `timeout_s` at most. Raises ChildFailure or Retryable; after the former the caller must call `end`.
        """
        self._inbox.fill(task.data)
        secret = self._next_secret()
        request = DecodeRequest(
            secret, block.offset, block.resident_bytes, len(task.data), task.max_tiles or 0, task.cpu_s
        )
        try:
            # A healthy child has drained the pipe; if it is full, fail instead of blocking.
            self._pipe.sendall(request.pack(), socket.MSG_DONTWAIT)
            reply = DecodeReply.unpack(self._receive(self._limits.timeout_s))
            self._check(reply, secret, self._limits.with_tiles(task.max_tiles))
        except TimeoutError:
            raise ChildTimeout from None
        except BlockingIOError:
            raise ChildCrash from None
        except OSError:
            raise self._death() from None
        except ProtocolError as error:
            log.error("a decode process sent an invalid reply and will be replaced: %s", error)
            raise ChildCrash from None
        self._inbox.trim(len(task.data))
        return reply

    def _death(self) -> ChildFailure:
        """Return what ended the process, whose end of the pipe is closed.

        A dying process has its exit code before its pipe closes, so the kill does not change it.
        """
        self._kill_group()
        code = self._process.wait()
        log.warning("a decode process ended with code %s while it had an image", code)
        if code == -signal.SIGALRM:
            return ChildTimeout()
        if code == -signal.SIGPROF:
            return ChildOverworked()
        return ChildKilled() if was_killed(code) else ChildCrash()

    def _next_secret(self) -> int:
        """Return a fresh random number. They are generated in batches: each system call releases the GIL."""
        if not self._secrets:
            self._secrets.extend(_SECRETS.unpack(os.urandom(_SECRETS.size)))
        return self._secrets.pop()

    def _receive(self, timeout_s: float) -> bytes:
        """Return one reply. Raises OSError if the process is gone, TimeoutError if the reply is incomplete then."""
        deadline = time.monotonic() + timeout_s
        self._set_receive_timeout(timeout_s)
        data = b""
        while len(data) < REPLY_BYTES:
            if data:
                self._set_receive_timeout(deadline - time.monotonic())
            try:
                part = self._pipe.recv(REPLY_BYTES - len(data))
            except BlockingIOError:
                raise TimeoutError from None
            if not part:
                raise ConnectionResetError("the process is gone")
            data += part
        return data

    def _set_receive_timeout(self, seconds: float) -> None:
        """Use SO_RCVTIMEO. A Python socket timeout polls before every recv, and each extra call releases the GIL."""
        if seconds != self._receive_timeout_s:
            whole, rest = divmod(max(int(seconds * 1e6), 1), 1_000_000)  # zero would mean no timeout
            self._pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(whole, rest))
            self._receive_timeout_s = seconds

    def _check(self, reply: DecodeReply, secret: int, limits: Limits) -> None:
        if reply.secret != secret:
            raise ProtocolError("it does not answer this request")
        if isinstance(reply.body, Ready):
            raise ProtocolError("it says again that it has started")
        if isinstance(reply.body, DecodedImage):
            output_bytes(reply.body, limits)

    def kill(self) -> None:
        """Kill the process and wait for its death, which ends every wait for it; call `end` next."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Kill the process and everything that it may have started. It does not write to the memory afterwards."""
        self._kill_group()
        self._process.wait()
        self._pipe.close()

    def _kill_group(self) -> None:
        if self._process.returncode is None:  # not waited for yet, so the number is still its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _start(handles: tuple[int, int, int], limits: Limits) -> subprocess.Popen[bytes]:
    with stops_deferred():
        return subprocess.Popen(
            [*child_command(), *map(str, handles), limits.to_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",  # ours may be gone, and an import that fails for that would pass for a corrupt image
            env=_environment(),
            pass_fds=handles,
            process_group=0,
        )


def child_command() -> list[str]:
    """Return the command to start; the handles of pipe, inbox and memory follow, and the limits."""
    return [sys.executable, "-m", "sightstream.pipeline.decode.child"]


def _environment() -> dict[str, str]:
    # The JPEG decoder imports numpy, which would start a thread for each core.
    return module_environment(LOADER) | {"OPENBLAS_NUM_THREADS": "1"}
