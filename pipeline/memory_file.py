"""Memory that a process shares with the children it starts, so that pictures are written once and never sent."""

from __future__ import annotations

import contextlib
import fcntl
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
        self._handle = _anonymous_file(size)
        self._mapping: mmap.mmap | None = None

    @property
    def size(self) -> int:
        return self._size

    def fileno(self) -> int:
        return self._handle

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Raises OSError when the machine has no memory for it."""
        write_at(self._handle, offset, data)

    def view(self, offset: int, length: int) -> memoryview:
        """The bytes themselves, not to be written; they change when others write there."""
        if self._mapping is None:
            self._mapping = mmap.mmap(self._handle, self._size, access=mmap.ACCESS_READ)
        return memoryview(self._mapping)[offset : offset + length]

    def discard(self, offset: int, length: int) -> None:
        """Gives the room of these bytes back to the machine: they are zero again. `offset` is that of a page.

        Where the system can't, nothing happens.
        """
        if length and hasattr(mmap, "MADV_REMOVE"):
            with contextlib.suppress(OSError), mmap.mmap(self._handle, length, offset=offset) as mapping:
                mapping.madvise(mmap.MADV_REMOVE)

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


def write_at(handle: int, offset: int, data: bytes | memoryview) -> None:
    """All of it. Raises OSError when the machine has no memory for it."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(handle, rest, offset)
        offset, rest = offset + written, rest[written:]


def scratch_file() -> int:
    """A file in memory, empty and of any size later; the caller closes it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sightstream")
    handle, path = tempfile.mkstemp()
    os.unlink(path)
    return handle


def _anonymous_file(size: int) -> int:
    """Its size can't be changed any more: a process that shrank it would end every other that looks at it."""
    if not hasattr(os, "memfd_create"):
        handle = scratch_file()
        os.ftruncate(handle, size)
        return handle
    handle = os.memfd_create("sightstream", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(handle, size)
    fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return handle
