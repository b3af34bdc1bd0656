"""What parent and child say to each other: records of fixed size, and none that means more than its numbers.

A hostile image may take the child over. So nothing that it says is unpickled or trusted: a format and a reason are
numbers in closed lists, a picture's size must fit where it lies, and an answer carries the order's own secret number.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeVar

from sightstream.pipeline.decode.arrangement import arrangements
from sightstream.pipeline.decode.limits import Limits
from sightstream.schemas.wire.dead_letter import Reason

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC")
REASONS = (Reason.NOT_AN_IMAGE, Reason.IMAGE_CORRUPT, Reason.TOO_MANY_PIXELS, Reason.UNUSABLE_SHAPE)

_READY, _DRAWN, _REFUSED, _NO_MEMORY = range(1, 5)
_ORDER = struct.Struct("<QQQQ")
_ANSWER = struct.Struct("<QBBBBBIIB120s")
ORDER_BYTES, ANSWER_BYTES = _ORDER.size, _ANSWER.size


class Garbled(Exception):
    """Not what a sound child says."""


@dataclass(frozen=True, slots=True)
class Order:
    """Decode the `length` bytes of the inbox; the picture goes to `offset` of the memory, where `kept` bytes have their
    room already."""

    secret: int
    offset: int
    kept: int
    length: int

    def pack(self) -> bytes:
        return _ORDER.pack(self.secret, self.offset, self.kept, self.length)

    @classmethod
    def unpack(cls, data: bytes) -> Order:
        return cls(*_ORDER.unpack(data))


@dataclass(frozen=True, slots=True)
class Ready:
    """The child has started."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The picture lies in its place. `rows` and `columns` are those of its tiles, 0 where it is not laid out."""

    width: int
    height: int
    format: str
    rows: int = 0
    columns: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class NoMemory:
    """The shared memory could not take the picture; not the image's fault."""

    detail: str


_Listed = TypeVar("_Listed")
Body = Ready | Drawn | Refused | NoMemory


@dataclass(frozen=True, slots=True)
class Answer:
    """`worn`: the child keeps more memory than it may, and is to be replaced."""

    secret: int
    body: Body
    worn: bool = False

    def pack(self) -> bytes:
        match self.body:
            case Ready():
                return self._packed(_READY)
            case Drawn(width, height, kind, rows, columns):
                return self._packed(_DRAWN, FORMATS.index(kind), rows, columns, width, height)
            case Refused(reason, detail):
                return self._packed(_REFUSED, REASONS.index(reason), detail=detail)
            case NoMemory(detail):
                return self._packed(_NO_MEMORY, detail=detail)

    def _packed(
        self, kind: int, number: int = 0, rows: int = 0, columns: int = 0, width: int = 0, height: int = 0,
        detail: str = "",
    ) -> bytes:  # fmt: skip
        text = detail.encode("ascii", "replace")[:120]
        return _ANSWER.pack(self.secret, kind, number, rows, columns, self.worn, width, height, len(text), text)

    @classmethod
    def unpack(cls, data: bytes) -> Answer:
        """Raises Garbled."""
        if len(data) != ANSWER_BYTES:
            raise Garbled(f"{len(data)} bytes are no answer")
        secret, kind, number, rows, columns, worn, width, height, length, text = _ANSWER.unpack(data)
        if kind == _READY:
            return cls(secret, Ready())
        if kind == _DRAWN:
            return cls(secret, Drawn(width, height, _chosen(FORMATS, number), rows, columns), bool(worn))
        if kind == _REFUSED:
            return cls(secret, Refused(_chosen(REASONS, number), _text(text, length)), bool(worn))
        if kind == _NO_MEMORY:
            return cls(secret, NoMemory(_text(text, length)), bool(worn))
        raise Garbled(f"{kind} is no kind of answer")


def picture_bytes(drawn: Drawn, limits: Limits) -> int:
    """How many bytes the picture takes. Raises Garbled for one that can't be."""
    if not (drawn.width and drawn.height and drawn.width * drawn.height <= limits.max_pixels):
        raise Garbled(f"{drawn.width} x {drawn.height} is no size of a picture")
    if limits.tiling is None:
        return drawn.width * drawn.height * 3
    if (drawn.rows, drawn.columns) not in arrangements(limits.tiling.max_tiles):
        raise Garbled(f"{drawn.rows} x {drawn.columns} tiles are no arrangement")
    return drawn.rows * drawn.columns * limits.tiling.side**2 * 3


def _chosen(closed: tuple[_Listed, ...], number: int) -> _Listed:
    if number >= len(closed):
        raise Garbled(f"{number} is not in the list")
    return closed[number]


def _text(data: bytes, length: int) -> str:
    text = data[:length].decode("ascii", "replace")
    if not text.isprintable():
        raise Garbled("not printable")
    return text
