"""A few decode processes behind one call; a child that dies or stalls costs one image.

With a tiling the children lay images out and write them where the engine's process reads them; full pixels never
leave a child.
"""

from __future__ import annotations

import multiprocessing
import queue
import threading
from dataclasses import replace
from multiprocessing.connection import Connection

from pipeline.arena import Arena, Block
from pipeline.decode.child import Canvases, OutOfMemory, Refused, serve
from pipeline.decode.settings import DecodeSettings
from pipeline.decode.tiling import Tiling
from pipeline.errors import Rejected, Retryable
from pipeline.memory_file import MemoryFile
from pipeline.metrics import DECODER_RESTARTS
from pipeline.types import Canvas, Pixels
from schemas.dead_letter import Reason, Stage

START_TIMEOUT_S = 60.0

_spawn = multiprocessing.get_context("spawn")


class Decoder:
    """Thread safe. Children are started when first needed.

    With a `tiling` it gives canvases, which lie in `memory`: as many at once as `max_canvas_bytes` hold.
    """

    def __init__(
        self, settings: DecodeSettings, tiling: Tiling | None = None, max_canvas_bytes: int = 256 * 1024**2
    ) -> None:
        self._arena: Arena | None = None
        drawing: Canvases | None = None
        if tiling is not None:
            self._arena = Arena(tiling.canvas_bytes, max(1, max_canvas_bytes // tiling.canvas_bytes))
            drawing = Canvases(tiling, self._arena.memory)
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._children = [_Child(settings, drawing) for _ in range(settings.processes)]
        for child in self._children:
            self._idle.put(child)

    @property
    def memory(self) -> MemoryFile | None:
        """Where the canvases lie; to be handed to the process that reads them."""
        return None if self._arena is None else self._arena.memory

    def decode(self, data: bytes) -> Pixels | Canvas:
        """Blocks for a free block of memory, for a free child and then for `timeout_s` at most.

        A canvas is to be handed back through `release`. Raises Rejected, Retryable, or Cancelled once stopped.
        """
        if self._arena is None:
            return self._decode(data, None)
        block = self._arena.take()
        try:
            return self._decode(data, block)
        except BaseException:
            self._arena.give_back(block)
            raise

    def release(self, pixels: Pixels | Canvas) -> None:
        """Nobody looks at them any more. Once for each canvas; pixels need none."""
        if self._arena is not None and isinstance(pixels, Canvas) and isinstance(pixels.rgb, Block):
            self._arena.give_back(pixels.rgb)

    def stop(self) -> None:
        """Ends every child and every wait at once; canvases can't be read here any more."""
        for child in self._children:
            child.stop()
        if self._arena is not None:
            self._arena.close()

    def _decode(self, data: bytes, block: Block | None) -> Pixels | Canvas:
        child = self._idle.get()
        try:
            return child.decode(data, block)
        finally:
            self._idle.put(child)


class _Died(Exception):
    """The process ended in the middle of an image."""


class _Child:
    """One process, replaced when it dies, stalls or has worked long enough. Used by one thread at a time."""

    def __init__(self, settings: DecodeSettings, canvases: Canvases | None) -> None:
        self._settings = settings
        self._canvases = canvases
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._left = 0
        self._lock = threading.Lock()
        self._stopped = False

    def decode(self, data: bytes, block: Block | None) -> Pixels | Canvas:
        """A death is held against the image only when a fresh process dies on it too."""
        try:
            return self._decode(data, block)
        except _Died:
            try:
                return self._decode(data, block)
            except _Died:
                raise _rejected(Reason.DECODE_CRASH, "the decoder died on this image") from None

    def _decode(self, data: bytes, block: Block | None) -> Pixels | Canvas:
        """However it ends, the process writes to the block no more."""
        pipe = self._ready()
        try:
            pipe.send(block)
            pipe.send_bytes(data)
            if not pipe.poll(self._settings.timeout_s):
                self._replace()
                raise _rejected(Reason.DECODE_TIMEOUT, f"not decoded within {self._settings.timeout_s} s")
            return self._read_answer(pipe)
        except (EOFError, OSError):
            self._replace()
            raise _Died from None

    def _read_answer(self, pipe: Connection) -> Pixels | Canvas:
        answer = pipe.recv()
        if isinstance(answer, Refused):
            raise _rejected(answer.reason, answer.detail)
        if isinstance(answer, OutOfMemory):
            raise Retryable(Stage.DECODE, answer.detail)
        if isinstance(answer, Canvas) and isinstance(answer.rgb, Block) and self._canvases is not None:
            return replace(answer, rgb=answer.rgb.within(self._canvases.memory))
        return Pixels(pipe.recv_bytes(), answer.width, answer.height, answer.format)

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
                target=serve, args=(theirs, self._settings, self._canvases), name="sightstream-decode", daemon=True
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
