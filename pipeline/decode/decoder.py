"""Decodes images in a few child processes behind one call; a child that dies or stalls costs one image.

Decoded images cross in shared memory: children write them where the engine's process reads them. With a tiling the
children also scale them onto tiles.
"""

from __future__ import annotations

import threading
from collections import Counter

from sightstream.pipeline.decode.health_check import HEALTH_CHECK_IMAGE, unavailable
from sightstream.pipeline.decode.inbox import Inbox
from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.memory_guard import MemoryGuard
from sightstream.pipeline.decode.process import (
    ChildCrash,
    ChildFailure,
    ChildKilled,
    ChildOverworked,
    ChildTimeout,
    DecodeProcess,
    DecodeTask,
)
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.decode.turns import Turns
from sightstream.pipeline.decode.wire import DecodedImage, MemoryShortage, Rejection, output_bytes
from sightstream.pipeline.decode.work import estimate_work
from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.memory_file import MemoryFile
from sightstream.pipeline.metrics import DECODER_RESTARTS
from sightstream.pipeline.shared_memory_pool import Block, SharedMemoryPool
from sightstream.pipeline.types import Canvas, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage

MAX_IMAGES = 1024  # in memory at once without a tiling: address space only; the flow's budget bounds the bytes
IDLE_BYTES = 64 * 1024**2

# How often a child may fail on an image before the image counts as the cause. A kill from outside proves least,
# CPU time most: the file alone spent it.
MAX_FAILURES: dict[type[ChildFailure], int] = {ChildOverworked: 1, ChildCrash: 2, ChildTimeout: 2, ChildKilled: 3}


class Decoder:
    """Decodes on one of its children, which are started when first needed. Thread safe.

    With a `tiling` it returns canvases, as many at once as fit into `max_canvas_bytes`; else pixels.
    """

    def __init__(
        self, settings: DecodeSettings, tiling: Tiling | None = None, max_canvas_bytes: int = 256 * 1024**2
    ) -> None:
        self._limits = settings.limits(tiling)
        self._pool = _build_pool(self._limits, max_canvas_bytes)
        self._children = [_Child(settings, self._limits, self._pool.memory) for _ in range(settings.processes)]
        self._turns = Turns(self._children)
        self._guard = MemoryGuard(self._pool, self._end_children)

    @property
    def memory(self) -> MemoryFile:
        """The memory that holds the decoded images; pass it to the process that reads them."""
        return self._pool.memory

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the children that run now."""
        return tuple(pid for child in self._children if (pid := child.pid) is not None)

    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        """Decode one file. The caller must pass the result to `release`.

        With a tiling the canvas has `max_tiles` at most; None: as many as the tiling allows. Without one, it changes
        nothing. Blocks for a free child, for a free block of memory, and then for `timeout_s` at most. Raises Rejected,
        Retryable, or Cancelled once stopped.
        """
        work = estimate_work(data, self._limits.timeout_s)
        with self._turns.turn(work.is_slow) as child:
            return self._decode_in(child, DecodeTask(data, work.limit_s, max_tiles))

    def release(self, pixels: Pixels | Canvas) -> None:
        """Return the memory of a decoded image that nobody reads any more. Call once for each result of `decode`."""
        if isinstance(pixels.rgb, Block):
            self._pool.release(pixels.rgb)

    def stop(self) -> None:
        """End every child and every wait at once; decoded images can't be read in this process any more."""
        for child in self._children:
            child.stop()
        self._guard.stop()
        self._pool.close()

    def _end_children(self) -> None:
        for child in self._children:
            child.kill()

    def _decode_in(self, child: _Child, task: DecodeTask) -> Pixels | Canvas:
        block = self._pool.allocate()
        try:
            return self._result(child.decode(task, block), block)
        except BaseException:
            self._pool.discard(block)
            raise

    def _result(self, image: DecodedImage, block: Block) -> Pixels | Canvas:
        rgb = Block(block.offset, output_bytes(image, self._limits), block.memory, block.resident_bytes)
        tiling = self._limits.tiling
        if tiling is None:
            return Pixels(rgb, image.width, image.height, image.format, image.is_truncated)
        of_file = (image.width, image.height, image.format, image.is_truncated)
        return Canvas(rgb, image.rows, image.columns, tiling.side, *of_file)


class _Child:
    """One process, replaced when it dies, stalls, or has decoded or grown enough. For one thread at a time."""

    def __init__(self, settings: DecodeSettings, limits: Limits, memory: MemoryFile) -> None:
        self._settings = settings
        self._limits = limits
        self._memory = memory
        self._inbox = Inbox()
        self._process: DecodeProcess | None = None
        self._images_left = 0
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None else process.pid

    def decode(self, task: DecodeTask, block: Block) -> DecodedImage:
        """Decode into the block. Raises Rejected or Retryable.

        After a failure a fresh child decodes a known-good image and then this one again: only a decoder that works can
        blame an image. The number of attempts is bounded.
        """
        failures: Counter[type[ChildFailure]] = Counter()
        while True:
            try:
                return self._decode_once(task, block)
            except ChildFailure as failure:
                kind = type(failure)
            failures[kind] += 1
            if failures[kind] == MAX_FAILURES[kind]:
                raise self._rejection(kind)
            self._check_health(block)

    def _rejection(self, kind: type[ChildFailure]) -> Rejected:
        times = MAX_FAILURES[kind]
        if kind is ChildTimeout:
            detail = f"not decoded within {self._settings.timeout_s} s, {times} times in fresh processes"
            return _rejected(Reason.DECODE_TIMEOUT, detail)
        if kind is ChildOverworked:
            return _rejected(Reason.DECODE_TIMEOUT, "it needs more CPU time than an image of its size may")
        how = "was killed" if kind is ChildKilled else "died"
        return _rejected(Reason.DECODE_CRASH, f"the decoder {how} {times} times on this image, and decodes others")

    def _check_health(self, block: Block) -> None:
        """Raises Retryable if a fresh child can't decode the known-good image either."""
        try:
            self._decode_once(DecodeTask(HEALTH_CHECK_IMAGE, self._settings.timeout_s), block)
        except (ChildFailure, Rejected):
            raise unavailable("the decoder fails on a known-good image, too") from None

    def _decode_once(self, task: DecodeTask, block: Block) -> DecodedImage:
        """Decode into the block; however it ends, the process does not write to the block afterwards."""
        process = self._running_process()
        self._images_left -= 1
        try:
            reply = process.decode(task, block)
        except ChildFailure:
            self._replace()
            raise
        if reply.needs_recycling:
            self._images_left = 0
        match reply.body:
            case DecodedImage():
                return reply.body
            case Rejection(reason, detail):
                raise _rejected(reason, detail)
            case MemoryShortage(detail):
                raise unavailable(detail)
            case _:
                raise ChildCrash

    def _running_process(self) -> DecodeProcess:
        if self._images_left <= 0:
            self._end_process()
        return self._process or self._start()

    def _start(self) -> DecodeProcess:
        with self._lock:
            if self._stopped:
                raise Retryable(Stage.DECODE, "the decoder is stopping")
            self._process = process = DecodeProcess(self._limits, self._memory, self._inbox)
        self._images_left = self._settings.images_per_process
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
        self.kill()

    def kill(self) -> None:
        """Kill the process and wait for its death. For any thread: the one that waits for its answer starts another."""
        process = self._process
        if process is not None:
            process.kill()


def _build_pool(limits: Limits, max_canvas_bytes: int) -> SharedMemoryPool:
    if limits.tiling is None:
        return SharedMemoryPool(limits.output_bytes, MAX_IMAGES, IDLE_BYTES)
    count = max(1, max_canvas_bytes // limits.output_bytes)
    return SharedMemoryPool(limits.output_bytes, count, max_canvas_bytes)


def _rejected(reason: Reason, detail: str) -> Rejected:
    return Rejected(reason, Stage.DECODE, detail)
