"""Memory that a process shares with its children, so that decoded images are written once and never copied."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import tempfile
from typing import Self


class MemoryFile:
    """An anonymous file of `size` bytes in memory: zero until written, and without physical pages before.

    A child sees the same bytes when it inherits the handle and attaches it. It does not use /dev/shm, which is
    small in containers.
    """

    def __init__(self, size: int, handle: int | None = None) -> None:
        self._size = size
        self._handle = _anonymous_file(size) if handle is None else handle
        self._mapping: mmap.mmap | None = None

    @classmethod
    def attach(cls, handle: int) -> Self:
        """Return the file of another process, whose handle this one has inherited and now owns."""
        return cls(os.fstat(handle).st_size, handle)

    @property
    def size(self) -> int:
        return self._size

    @property
    def resident_bytes(self) -> int:
        """The physical pages that are in use, whoever wrote to them."""
        return os.fstat(self._handle).st_blocks * 512

    def fileno(self) -> int:
        return self._handle

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of the data. Raises OSError when the machine is out of memory."""
        write_at(self._handle, offset, data)

    def view(self, offset: int, length: int) -> memoryview:
        """Return the bytes themselves, read-only; they change when another process writes there."""
        if self._mapping is None:
            self._mapping = mmap.mmap(self._handle, self._size, access=mmap.ACCESS_READ)
        return memoryview(self._mapping)[offset : offset + length]

    def discard(self, offset: int, length: int) -> None:
        """Return the pages of these bytes to the OS; they read as zero again. `offset` must be page-aligned.

        Does nothing where the system lacks MADV_REMOVE.
        """
        if length and hasattr(mmap, "MADV_REMOVE"):
            with contextlib.suppress(OSError), mmap.mmap(self._handle, length, offset=offset) as mapping:
                mapping.madvise(mmap.MADV_REMOVE)

    def close(self) -> None:
        """Close it in this process; the OS frees the memory when the last process has closed it."""
        handle, self._handle = self._handle, -1
        os.close(handle)
        if self._mapping is not None:
            with contextlib.suppress(BufferError):  # a view is still in use: the mapping ends with it
                self._mapping.close()


def write_at(handle: int, offset: int, data: bytes | memoryview) -> None:
    """Write all of the data. Raises OSError when the machine is out of memory."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(handle, rest, offset)
        offset, rest = offset + written, rest[written:]


def scratch_file() -> tuple[int, int]:
    """Return two handles of an empty file in memory that can grow: one to write, and one that can only be read.

    The caller closes both. Raises OSError.
    """
    if not hasattr(os, "memfd_create"):
        return _unlinked_file()
    handle = os.memfd_create("sightstream", os.MFD_CLOEXEC)
    try:
        return handle, os.open(f"/proc/self/fd/{handle}", os.O_RDONLY)
    except OSError:
        os.close(handle)
        raise


def _unlinked_file() -> tuple[int, int]:
    handle, path = tempfile.mkstemp()
    try:
        return handle, os.open(path, os.O_RDONLY)
    finally:
        os.unlink(path)


def _anonymous_file(size: int) -> int:
    """Create a file whose size is sealed: a process that shrank it would crash every other process that reads it."""
    if not hasattr(os, "memfd_create"):
        handle, reader = _unlinked_file()
        os.close(reader)
        os.ftruncate(handle, size)
        return handle
    handle = os.memfd_create("sightstream", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(handle, size)
    fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return handle
