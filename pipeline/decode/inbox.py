"""The file in memory by which a child gets the bytes of one image after the other."""

from __future__ import annotations

import os
import weakref

from sightstream.pipeline.decode.health_check import unavailable
from sightstream.pipeline.memory_file import scratch_file, write_at

RESIDENT_BYTES = 4 * 1024**2


class Inbox:
    """Outlives the children that read it, one after the other; `reader` is their handle, which can't be written to.

    It is made before this process forbids to be traced, which may close /proc/self/fd to it. Raises OSError.
    """

    def __init__(self) -> None:
        self._writer, self.reader = scratch_file()
        for handle in (self._writer, self.reader):
            weakref.finalize(self, os.close, handle)

    def fill(self, data: bytes) -> None:
        """Put the file there in place of the one before. Raises Retryable."""
        try:
            write_at(self._writer, 0, data)
        except OSError as error:
            raise unavailable(f"no memory to pass the file to the decoder: {error.strerror}") from None

    def trim(self, length: int) -> None:
        """Return the memory of a large file of this length, once nothing reads it."""
        if length > RESIDENT_BYTES:
            os.ftruncate(self._writer, 0)
