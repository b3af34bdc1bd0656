"""The protocol between parent and decode child: fixed-size records of plain numbers. Nothing is unpickled.

A hostile image may take the child over, so the parent trusts nothing in a reply: a format and a reason are numbers in
closed lists, an image must fit into its block, and a reply carries the secret number of its request.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeVar

from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.tiles import arrangements
from sightstream.schemas.image_formats import IMAGE_FORMATS
from sightstream.schemas.wire.dead_letter import Reason

FORMATS = tuple(each.name for each in IMAGE_FORMATS)
REASONS = (Reason.NOT_AN_IMAGE, Reason.IMAGE_CORRUPT, Reason.TOO_MANY_PIXELS, Reason.UNUSABLE_SHAPE)

_READY, _DECODED, _REJECTION, _MEMORY_SHORTAGE = range(1, 5)
_REQUEST = struct.Struct("<QQQQBd")
_REPLY = struct.Struct("<QBBBBBBIIB120s")
REQUEST_BYTES, REPLY_BYTES = _REQUEST.size, _REPLY.size

_T = TypeVar("_T")


class ProtocolError(Exception):
    """A reply that a healthy child never sends."""


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """Asks to decode the first `length` bytes of the inbox and to write the image at `offset` of the shared memory.

    The first `resident_bytes` there have physical pages already. With a tiling the image gets `max_tiles` at most; 0:
    as many as the tiling allows. It may cost `cpu_s` seconds of CPU time; 0: as many as it takes.
    """

    secret: int
    offset: int
    resident_bytes: int
    length: int
    max_tiles: int = 0
    cpu_s: float = 0

    def pack(self) -> bytes:
        return _REQUEST.pack(self.secret, self.offset, self.resident_bytes, self.length, self.max_tiles, self.cpu_s)

    @classmethod
    def unpack(cls, data: bytes) -> DecodeRequest:
        return cls(*_REQUEST.unpack(data))


@dataclass(frozen=True, slots=True)
class Ready:
    """The child has started. `unfiltered` says why it has no filter of system calls; "" where it has one."""

    unfiltered: str = ""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """The image is in its block. `rows` and `columns` count its tiles; both are 0 without a tiling."""

    width: int
    height: int
    format: str
    rows: int = 0
    columns: int = 0
    is_truncated: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """The image can't be used."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class MemoryShortage:
    """The machine has no shared memory for the image; the image is not at fault."""

    detail: str


ReplyBody = Ready | DecodedImage | Rejection | MemoryShortage


@dataclass(frozen=True, slots=True)
class DecodeReply:
    """Answers one request. `needs_recycling`: the child keeps too much memory, and the parent should replace it."""

    secret: int
    body: ReplyBody
    needs_recycling: bool = False

    def pack(self) -> bytes:
        match self.body:
            case Ready(unfiltered):
                return self._pack(_READY, detail=unfiltered)
            case DecodedImage(width, height, kind, rows, columns, truncated):
                return self._pack(_DECODED, FORMATS.index(kind), rows, columns, width, height, truncated=truncated)
            case Rejection(reason, detail):
                return self._pack(_REJECTION, REASONS.index(reason), detail=detail)
            case MemoryShortage(detail):
                return self._pack(_MEMORY_SHORTAGE, detail=detail)

    def _pack(
        self, kind: int, number: int = 0, rows: int = 0, columns: int = 0, width: int = 0, height: int = 0,
        detail: str = "", truncated: bool = False,
    ) -> bytes:  # fmt: skip
        text = detail.encode("ascii", "replace")[:120]
        return _REPLY.pack(
            self.secret, kind, number, rows, columns, self.needs_recycling, truncated, width, height, len(text), text
        )

    @classmethod
    def unpack(cls, data: bytes) -> DecodeReply:
        """Parse a reply. Raises ProtocolError."""
        if len(data) != REPLY_BYTES:
            raise ProtocolError(f"a reply has {REPLY_BYTES} bytes, not {len(data)}")
        secret, kind, number, rows, columns, recycle, truncated, width, height, length, text = _REPLY.unpack(data)
        if kind == _READY:
            return cls(secret, Ready(_text(text, length)))
        if kind == _DECODED:
            image = DecodedImage(width, height, _item(FORMATS, number), rows, columns, bool(truncated))
            return cls(secret, image, bool(recycle))
        if kind == _REJECTION:
            return cls(secret, Rejection(_item(REASONS, number), _text(text, length)), bool(recycle))
        if kind == _MEMORY_SHORTAGE:
            return cls(secret, MemoryShortage(_text(text, length)), bool(recycle))
        raise ProtocolError(f"{kind} is not a kind of reply")


def output_bytes(image: DecodedImage, limits: Limits) -> int:
    """Return the size of the image in its block. Raises ProtocolError if it can't have that size."""
    if not (image.width and image.height and image.width * image.height <= limits.max_pixels):
        raise ProtocolError(f"{image.width} x {image.height} is not a possible size of an image")
    if limits.tiling is None:
        return image.width * image.height * 3
    if (image.rows, image.columns) not in arrangements(limits.tiling.max_tiles):
        raise ProtocolError(f"{image.rows} x {image.columns} is not a possible arrangement of tiles")
    return image.rows * image.columns * limits.tiling.side**2 * 3


def _item(closed: tuple[_T, ...], number: int) -> _T:
    if number >= len(closed):
        raise ProtocolError(f"{number} is not in the closed list")
    return closed[number]


def _text(data: bytes, length: int) -> str:
    text = data[:length].decode("ascii", "replace")
    if not text.isprintable():
        raise ProtocolError("the detail is not printable")
    return text
