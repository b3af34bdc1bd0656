"""A few decode processes behind one call; a child that dies or stalls costs one image.

Pictures cross in shared memory: children write them where the engine's process reads them. With a tiling they are
laid out there already.
"""

from __future__ import annotations

import queue
import threading

from sightstream.pipeline.decode.arrangement import Tiling
from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.process import DecodeProcess, Died, TimedOut
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.wire import Drawn, NoMemory, Refused, picture_bytes
from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.memory_file import MemoryFile
from sightstream.pipeline.metrics import DECODER_RESTARTS
from sightstream.pipeline.shared_memory_pool import Block, SharedMemoryPool
from sightstream.pipeline.types import Canvas, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage

MAX_PICTURES = 1024  # at once, without a tiling: address space only; the flow's budget bounds the bytes
IDLE_BYTES = 64 * 1024**2


class Decoder:
    """Thread safe. Children are started when first needed.

    With a `tiling` it gives canvases, as many at once as `max_canvas_bytes` hold; else pixels.
    """

    def __init__(
        self, settings: DecodeSettings, tiling: Tiling | None = None, max_canvas_bytes: int = 256 * 1024**2
    ) -> None:
        self._limits = settings.limits(tiling)
        self._pool = _build_pool(self._limits, max_canvas_bytes)
        self._children = [_Child(settings, self._limits, self._pool.memory) for _ in range(settings.processes)]
        self._idle = self._children.copy()  # the one that worked last is asked first
        self._turns: queue.SimpleQueue[None] = queue.SimpleQueue()  # as many as are idle
        for _ in self._idle:
            self._turns.put(None)

    @property
    def memory(self) -> MemoryFile:
        """Where the pictures lie; to be handed to the process that reads them."""
        return self._pool.memory

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the children that run now."""
        return tuple(pid for child in self._children if (pid := child.pid) is not None)

    def decode(self, data: bytes) -> Pixels | Canvas:
        """Blocks for a free child, for a free block of memory and then for `timeout_s` at most.

        What it gives is to be handed back through `release`. Raises Rejected, Retryable, or Cancelled once stopped.
        """
        self._turns.get()
        child = self._idle.pop()
        try:
            return self._draw(child, data)
        finally:
            self._idle.append(child)
            self._turns.put(None)

    def release(self, pixels: Pixels | Canvas) -> None:
        """Nobody looks at them any more. Once for all that `decode` gave."""
        if isinstance(pixels.rgb, Block):
            self._pool.release(pixels.rgb)

    def stop(self) -> None:
        """Ends every child and every wait at once; pictures can't be read here any more."""
        for child in self._children:
            child.stop()
        self._pool.close()

    def _draw(self, child: _Child, data: bytes) -> Pixels | Canvas:
        block = self._pool.allocate()
        try:
            return self._placed(child.draw(data, block), block)
        except BaseException:
            self._pool.discard(block)
            raise

    def _placed(self, drawn: Drawn, block: Block) -> Pixels | Canvas:
        rgb = Block(block.offset, picture_bytes(drawn, self._limits), block.memory, block.resident_bytes)
        tiling = self._limits.tiling
        if tiling is None:
            return Pixels(rgb, drawn.width, drawn.height, drawn.format)
        return Canvas(rgb, drawn.rows, drawn.columns, tiling.side, drawn.width, drawn.height, drawn.format)


class _Child:
    """One process, replaced when it dies, stalls, or has worked or grown enough. Used by one thread at a time."""

    def __init__(self, settings: DecodeSettings, limits: Limits, memory: MemoryFile) -> None:
        self._settings = settings
        self._limits = limits
        self._memory = memory
        self._process: DecodeProcess | None = None
        self._left = 0
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None else process.pid

    def draw(self, data: bytes, block: Block) -> Drawn:
        """A death is held against the image only when a fresh process dies on it too."""
        try:
            return self._draw(data, block)
        except Died:
            try:
                return self._draw(data, block)
            except Died:
                raise _rejected(Reason.DECODE_CRASH, "the decoder died on this image") from None

    def _draw(self, data: bytes, block: Block) -> Drawn:
        """However it ends, the process writes to the block no more."""
        process = self._ready()
        self._left -= 1
        try:
            answer = process.ask(data, block)
        except TimedOut:
            self._replace()
            raise _rejected(Reason.DECODE_TIMEOUT, f"not decoded within {self._settings.timeout_s} s") from None
        except Died:
            self._replace()
            raise
        if answer.worn:
            self._left = 0
        match answer.body:
            case Drawn():
                return answer.body
            case Refused(reason, detail):
                raise _rejected(reason, detail)
            case NoMemory(detail):
                raise Retryable(Stage.DECODE, detail)
            case _:
                raise Died

    def _ready(self) -> DecodeProcess:
        if self._left <= 0:
            self._end_process()
        return self._process or self._start()

    def _start(self) -> DecodeProcess:
        with self._lock:
            if self._stopped:
                raise Retryable(Stage.DECODE, "the decoder is stopping")
            self._process = process = DecodeProcess(self._limits, self._memory)
        self._left = self._settings.images_per_process
        try:
            process.wait_ready()
        except Retryable:
            self._end_process()
            raise
        return process

    def _replace(self) -> None:
        DECODER_RESTARTS.inc()
        self._end_process()

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            process = self._process
        if process is not None:
            process.kill()


def _build_pool(limits: Limits, max_canvas_bytes: int) -> SharedMemoryPool:
    if limits.tiling is None:
        return SharedMemoryPool(limits.picture_bytes, MAX_PICTURES, IDLE_BYTES)
    return SharedMemoryPool(limits.picture_bytes, max(1, max_canvas_bytes // limits.picture_bytes), max_canvas_bytes)


def _rejected(reason: Reason, detail: str) -> Rejected:
    return Rejected(reason, Stage.DECODE, detail)
