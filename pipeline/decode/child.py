"""The decode process: bytes in, pixels or a rejection out, one image at a time."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from pipeline.arena import Block
from pipeline.decode.settings import DecodeSettings
from pipeline.decode.tiling import Tiling
from pipeline.errors import Rejected
from pipeline.memory_file import MemoryFile
from pipeline.orphan import end_with_parent
from pipeline.types import Canvas, Pixels
from schemas.dead_letter import Reason


@dataclass(frozen=True, slots=True)
class Decoded:
    """Precedes the pixels on the pipe."""

    width: int
    height: int
    format: str


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The shared memory could not take the canvas; not the image's fault."""

    detail: str


@dataclass(frozen=True, slots=True)
class Canvases:
    """Images are to be laid out, and written into blocks of `memory`."""

    tiling: Tiling
    memory: MemoryFile


def serve(connection: Connection, settings: DecodeSettings, canvases: Canvases | None) -> None:
    """Until the parent closes the pipe. An order is a block, None without canvases, and then the image's bytes."""
    end_with_parent()
    from pipeline.decode.image import decode, decode_to_canvas

    _cap_memory(settings.memory_bytes)
    connection.send(None)  # ready
    while True:
        try:
            block = connection.recv()
            data = connection.recv_bytes()
        except EOFError:
            return
        try:
            if canvases is None:
                _send_pixels(connection, decode(data, settings))
            else:
                _send_canvas(connection, decode_to_canvas(data, settings, canvases.tiling), block, canvases.memory)
        except Rejected as error:
            connection.send(Refused(error.reason, str(error)))


def _send_pixels(connection: Connection, pixels: Pixels) -> None:
    connection.send(Decoded(pixels.width, pixels.height, pixels.format))
    connection.send_bytes(pixels.rgb)


def _send_canvas(connection: Connection, canvas: Canvas, block: Block, memory: MemoryFile) -> None:
    """Only where the canvas lies goes through the pipe."""
    rgb = canvas.buffer()
    try:
        memory.write(block.offset, rgb)
    except OSError as error:
        connection.send(OutOfMemory(f"no memory for a canvas: {error.strerror}"))
    else:
        connection.send(replace(canvas, rgb=replace(block, length=len(rgb))))


def _cap_memory(memory_bytes: int) -> None:
    if memory_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, hard))
