"""The decode process: bytes in, pixels or a rejection out, one image at a time.

Started as a program of its own, with an empty environment and three open files: the pipe to the parent, an inbox for
the image's bytes, and the memory that pictures are written to. It ends when the parent closes the pipe.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys

from PIL import Image

from sightstream.pipeline.decode.confine import confine
from sightstream.pipeline.decode.formats import load_decoders
from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.picture import draw
from sightstream.pipeline.decode.plain_jpeg import load_decoder
from sightstream.pipeline.decode.room import NoRoom
from sightstream.pipeline.decode.wire import ORDER_BYTES, Answer, Body, NoMemory, Order, Ready, Refused
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason

ALARM_GRACE_S = 5  # the parent's own limit comes first; this one is for a parent that is gone


def main(pipe: int, inbox: int, memory: int, limits: Limits) -> None:
    load(limits)
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    statistics = _open_statistics()
    canvas = mmap.mmap(memory, os.fstat(memory).st_size)
    confine(limits.memory_bytes and limits.memory_bytes + len(canvas))
    os.write(pipe, Answer(0, Ready()).pack())
    while order := _next_order(pipe):
        signal.setitimer(signal.ITIMER_REAL, limits.timeout_s + ALARM_GRACE_S)
        body = _obey(order, inbox, _Place(memory, canvas, order.offset, order.kept), limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.write(pipe, Answer(order.secret, body, _kept_bytes(statistics) > limits.resident_bytes).pack())


def load(limits: Limits) -> None:
    """All that decoding under these limits imports: afterwards nothing can be opened any more."""
    load_decoders()
    if limits.tiling is None:
        load_decoder()


def _next_order(pipe: int) -> Order | None:
    data = b""
    while len(data) < ORDER_BYTES:
        part = os.read(pipe, ORDER_BYTES - len(data))
        if not part:
            return None
        data += part
    return Order.unpack(data)


def _obey(order: Order, inbox: int, place: _Place, limits: Limits) -> Body:
    try:
        return draw(os.pread(inbox, order.length, 0), limits, place.room)
    except Rejected as error:
        return Refused(error.reason, str(error))
    except NoRoom as error:
        return NoMemory(str(error))
    except MemoryError:
        return Refused(Reason.TOO_MANY_PIXELS, "the image needs more memory than is allowed")


class _Place:
    """Where in the shared memory a picture goes."""

    def __init__(self, memory: int, canvas: mmap.mmap, offset: int, kept: int = 0) -> None:
        self._memory, self._canvas, self._offset, self._kept = memory, canvas, offset, kept

    def room(self, length: int) -> memoryview:
        """Reserved first, so that a machine without memory is an error to be told, and not the end of the process."""
        if length > self._kept and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._memory, self._offset, length)
            except OSError as error:
                raise NoRoom(f"no memory for a picture: {error.strerror}") from None
        return memoryview(self._canvas)[self._offset : self._offset + length]


def _open_statistics() -> int | None:
    try:
        return os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:  # not on Linux
        return None


def _kept_bytes(statistics: int | None) -> int:
    """Of memory of its own."""
    if statistics is None:
        return 0
    _, resident, shared, *_ = map(int, os.pread(statistics, 200, 0).split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Limits.from_json(sys.argv[4]))
