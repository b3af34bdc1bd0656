"""The decode process: it reads a file's bytes and writes pixels or a rejection, one image at a time.

The parent starts it as a program of its own, with an empty environment and three open files: the pipe to the parent, an
inbox for the image's bytes, and the shared memory that decoded images are written to. It ends when the parent closes
the pipe.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys

from PIL import Image

from sightstream.pipeline.decode.formats import load_decoders
from sightstream.pipeline.decode.image_file import decode_image
from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.output import OutOfSharedMemory
from sightstream.pipeline.decode.plain_jpeg import load_decoder
from sightstream.pipeline.decode.sandbox import sandbox
from sightstream.pipeline.decode.wire import (
    REQUEST_BYTES,
    DecodeReply,
    DecodeRequest,
    MemoryShortage,
    Ready,
    Rejection,
    ReplyBody,
)
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.dead_letter import Reason

ALARM_GRACE_S = 5  # the parent's own timeout comes first; the alarm is for a child whose parent is gone


def main(pipe: int, inbox: int, memory: int, limits: Limits) -> None:
    load()
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    statistics = _open_statistics()
    mapping = mmap.mmap(memory, os.fstat(memory).st_size)
    unfiltered = sandbox(limits.memory_bytes and limits.memory_bytes + len(mapping))
    os.write(pipe, DecodeReply(0, Ready(unfiltered)).pack())
    while request := _next_request(pipe):
        _limit_time(limits.timeout_s + ALARM_GRACE_S, request.cpu_s)
        slot = OutputSlot(memory, mapping, request.offset, request.resident_bytes)
        body = _handle(request, inbox, slot, limits)
        _limit_time(0, 0)
        os.write(pipe, DecodeReply(request.secret, body, _private_bytes(statistics) > limits.resident_bytes).pack())


def load() -> None:
    """Import everything that decoding needs: the sandbox allows no file to be opened."""
    load_decoders()
    load_decoder()


def _limit_time(seconds: float, cpu_s: float) -> None:
    """Let SIGALRM or SIGPROF end this process after so much time, or CPU time of all its threads; 0: no limit."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def _next_request(pipe: int) -> DecodeRequest | None:
    data = b""
    while len(data) < REQUEST_BYTES:
        part = os.read(pipe, REQUEST_BYTES - len(data))
        if not part:
            return None
        data += part
    return DecodeRequest.unpack(data)


def _handle(request: DecodeRequest, inbox: int, slot: OutputSlot, limits: Limits) -> ReplyBody:
    try:
        wanted = limits.with_tiles(request.max_tiles or None)
        return decode_image(os.pread(inbox, request.length, 0), wanted, slot.allocate)
    except Rejected as error:
        return Rejection(error.reason, str(error))
    except OutOfSharedMemory as error:
        return MemoryShortage(str(error))
    except MemoryError:
        if not limits.memory_bytes:
            return MemoryShortage("the machine has no memory to decode the image")
        return Rejection(Reason.TOO_MANY_PIXELS, "the image needs more memory than the decoder may use")


class OutputSlot:
    """The part of the shared memory that one decoded image is written to."""

    def __init__(self, memory: int, mapping: mmap.mmap, offset: int, resident_bytes: int = 0) -> None:
        self._memory, self._mapping, self._offset, self._resident_bytes = memory, mapping, offset, resident_bytes

    def allocate(self, length: int) -> memoryview:
        """Return the bytes to write to. Raises OutOfSharedMemory.

        The pages are reserved first: writing to memory that the machine can't back would kill this process.
        """
        if length > self._resident_bytes and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._memory, self._offset, length)
            except OSError as error:
                raise OutOfSharedMemory(f"no shared memory for the decoded image: {error.strerror}") from None
        return memoryview(self._mapping)[self._offset : self._offset + length]


def _open_statistics() -> int | None:
    try:
        return os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:  # not on Linux
        return None


def _private_bytes(statistics: int | None) -> int:
    """Return this process's resident memory without the shared part."""
    if statistics is None:
        return 0
    _, resident, shared, *_ = map(int, os.pread(statistics, 200, 0).split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Limits.from_json(sys.argv[4]))
