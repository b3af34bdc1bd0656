"""A few decode processes behind one call; a child that dies or stalls costs one image."""

from __future__ import annotations

import multiprocessing
import queue
import threading
from multiprocessing.connection import Connection

from pipeline.decode.child import Refused, serve
from pipeline.decode.settings import DecodeSettings
from pipeline.errors import Rejected, Retryable
from pipeline.metrics import DECODER_RESTARTS
from pipeline.types import Pixels
from schemas.dead_letter import Reason, Stage

START_TIMEOUT_S = 60.0

_spawn = multiprocessing.get_context("spawn")


class Decoder:
    """Thread safe. Children are started when first needed."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._children = [_Child(settings) for _ in range(settings.processes)]
        for child in self._children:
            self._idle.put(child)

    def decode(self, data: bytes) -> Pixels:
        """Blocks for a free child and then for `timeout_s` at most. Raises Rejected or Retryable."""
        child = self._idle.get()
        try:
            return child.decode(data)
        finally:
            self._idle.put(child)

    def stop(self) -> None:
        """Ends every child at once."""
        for child in self._children:
            child.stop()


class _Died(Exception):
    """The process ended in the middle of an image."""


class _Child:
    """One process, replaced when it dies, stalls or has worked long enough. Used by one thread at a time."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._left = 0
        self._lock = threading.Lock()
        self._stopped = False

    def decode(self, data: bytes) -> Pixels:
        """A death is held against the image only when a fresh process dies on it too."""
        try:
            return self._decode(data)
        except _Died:
            try:
                return self._decode(data)
            except _Died:
                raise _rejected(Reason.DECODE_CRASH, "the decoder died on this image") from None

    def _decode(self, data: bytes) -> Pixels:
        pipe = self._ready()
        try:
            pipe.send_bytes(data)
            if not pipe.poll(self._settings.timeout_s):
                self._replace()
                raise _rejected(Reason.DECODE_TIMEOUT, f"not decoded within {self._settings.timeout_s} s")
            answer = pipe.recv()
            if not isinstance(answer, Refused):
                return Pixels(pipe.recv_bytes(), answer.width, answer.height, answer.format)
        except (EOFError, OSError):
            self._replace()
            raise _Died from None
        raise _rejected(answer.reason, answer.detail)

    def _ready(self) -> Connection:
        if self._left == 0:
            self.stop_process()
        if self._pipe is None:
            self._start()
        self._left -= 1
        assert self._pipe is not None  # noqa: S101
        return self._pipe

    def _start(self) -> None:
        with self._lock:
            if self._stopped:
                raise Retryable(Stage.DECODE, "the decoder is stopping")
            self._pipe, theirs = _spawn.Pipe()
            self._process = _spawn.Process(
                target=serve, args=(theirs, self._settings), name="sightstream-decode", daemon=True
            )
            self._process.start()
            theirs.close()
        self._left = self._settings.images_per_process
        if not self._pipe.poll(START_TIMEOUT_S):
            self.stop_process()
            raise Retryable(Stage.DECODE, "the decoder did not start")
        try:
            self._pipe.recv()
        except (EOFError, OSError):
            self.stop_process()
            raise Retryable(Stage.DECODE, "the decoder died while starting; is its memory cap too low?") from None

    def _replace(self) -> None:
        DECODER_RESTARTS.inc()
        self.stop_process()

    def stop_process(self) -> None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            process.join()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            process = self._process
        if process is not None:
            process.kill()


def _rejected(reason: Reason, detail: str) -> Rejected:
    return Rejected(reason, Stage.DECODE, detail)
