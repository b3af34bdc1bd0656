"""The decode process: bytes in, pixels or a rejection out, one image at a time."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from multiprocessing.connection import Connection

from pipeline.decode.settings import DecodeSettings
from pipeline.errors import Rejected
from pipeline.orphan import end_with_parent
from pipeline.types import Pixels
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


def serve(connection: Connection, settings: DecodeSettings) -> None:
    """Until the parent closes the pipe."""
    end_with_parent()
    from pipeline.decode.image import decode

    _cap_memory(settings.memory_bytes)
    connection.send(None)  # ready
    while True:
        try:
            data = connection.recv_bytes()
        except EOFError:
            return
        try:
            _reply(connection, decode(data, settings))
        except Rejected as error:
            connection.send(Refused(error.reason, str(error)))


def _reply(connection: Connection, pixels: Pixels) -> None:
    connection.send(Decoded(pixels.width, pixels.height, pixels.format))
    connection.send_bytes(pixels.rgb)


def _cap_memory(memory_bytes: int) -> None:
    if memory_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, hard))
