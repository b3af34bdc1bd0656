"""Memory that a process shares with the children it starts, so that pictures are written once and never sent."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from multiprocessing import reduction
from typing import Any


class MemoryFile:
    """`size` bytes that lie in memory only, zero until they are written and taking no room before.

    A child sees the same bytes when it is given the file as an argument at its start. Owes nothing to /dev/shm, which
    is small in containers.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._handle = _anonymous_file()
        os.ftruncate(self._handle, size)
        self._mapping: mmap.mmap | None = None

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Raises OSError when the machine has no memory for it."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._handle, rest, offset)
            offset, rest = offset + written, rest[written:]

    def view(self, offset: int, length: int) -> memoryview:
        """The bytes themselves, not to be written; they change when others write there."""
        if self._mapping is None:
            self._mapping = mmap.mmap(self._handle, self._size, access=mmap.ACCESS_READ)
        return memoryview(self._mapping)[offset : offset + length]

    def close(self) -> None:
        """Of this process; the memory goes when the last process has closed it."""
        handle, self._handle = self._handle, -1
        os.close(handle)
        if self._mapping is not None:
            with contextlib.suppress(BufferError):  # a view is still held: the mapping goes with it
                self._mapping.close()

    def __getstate__(self) -> tuple[int, Any]:
        return self._size, reduction.DupFd(self._handle)

    def __setstate__(self, state: tuple[int, Any]) -> None:
        self._size, handle = state
        self._handle = handle.detach()
        self._mapping = None


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sightstream")
    handle, path = tempfile.mkstemp()
    os.unlink(path)
    return handle
