"""A pool of equal blocks of shared memory that holds the decoded images in flight."""

from __future__ import annotations

import mmap
import threading
from collections import deque
from dataclasses import dataclass, field, replace

from sightstream.pipeline.errors import Cancelled
from sightstream.pipeline.memory_file import MemoryFile

# What the system may round up to, for all blocks together.
SLACK_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Block:
    """`length` bytes at `offset` of a shared memory. Only these two numbers are pickled; each process attaches its
    own mapping with `within`.

    The first `resident_bytes` of them have physical pages already, left by an image that was there before.
    """

    offset: int
    length: int
    memory: MemoryFile | None = field(default=None, repr=False, compare=False)
    resident_bytes: int = field(default=0, repr=False, compare=False)

    def __len__(self) -> int:
        return self.length

    def view(self) -> memoryview:
        """Return the bytes; the view is valid until the block is released."""
        if self.memory is None:
            raise ValueError("this block is not attached to a memory: call within() first")
        return self.memory.view(self.offset, self.length)

    def within(self, memory: MemoryFile) -> Block:
        """Return the same block, attached to this process's mapping of the memory."""
        return replace(self, memory=memory)

    def __reduce__(self) -> tuple[type[Block], tuple[int, int]]:
        return Block, (self.offset, self.length)


class SharedMemoryPool:
    """Hands out `count` equal blocks of one shared memory. Thread safe.

    A block uses physical memory only once written. Released blocks keep their pages and are reused first; beyond
    `idle_bytes` of idle pages, released blocks return theirs to the OS. So physical memory is bounded by the allocated
    blocks plus `idle_bytes`, whatever sizes came before.
    """

    def __init__(self, block_bytes: int, count: int, idle_bytes: int = 256 * 1024**2) -> None:
        self._stride = stride = _whole_pages(block_bytes)  # the OS takes back no other
        self.memory = MemoryFile(stride * count)
        self._block_bytes = block_bytes
        self._max_idle_bytes = idle_bytes
        self._idle_bytes = 0
        self._free = deque(number * stride for number in reversed(range(count)))  # blocks with pages at the right
        self._resident: dict[int, int] = {}
        self._allocated: set[int] = set()
        self._closed = False
        self._change = threading.Condition()

    def allocate(self) -> Block:
        """Return a free block. Blocks until there is one. Raises Cancelled once closed."""
        with self._change:
            self._change.wait_for(lambda: self._closed or self._free)
            if self._closed:
                raise Cancelled("the flow is stopping")
            offset = self._free.pop()
            resident = self._resident.get(offset, 0)
            self._idle_bytes -= resident
            self._allocated.add(offset)
        return Block(offset, self._block_bytes, self.memory, resident)

    def release(self, block: Block) -> None:
        """Return a block whose `block.length` bytes have all been written; nobody may use it any more.

        Call once for each allocated block. Raises KeyError for a block that is not allocated.
        """
        self._return(block, max(block.resident_bytes, block.length), may_stay_resident=True)

    def discard(self, block: Block) -> None:
        """Return a block of which an unknown part was written: its pages go back to the OS. Else as `release`."""
        self._return(block, self._block_bytes, may_stay_resident=False)

    def _return(self, block: Block, resident: int, may_stay_resident: bool) -> None:
        with self._change:
            self._allocated.remove(block.offset)
            if not self._closed:
                self._add_to_free(block.offset, resident, may_stay_resident)
            self._change.notify()

    def _add_to_free(self, offset: int, resident: int, may_stay_resident: bool) -> None:
        if may_stay_resident and self._idle_bytes + resident <= self._max_idle_bytes:
            self._resident[offset] = resident
            self._idle_bytes += resident
            self._free.append(offset)
        else:
            self._resident.pop(offset, None)
            self.memory.discard(offset, resident)
            self._free.appendleft(offset)

    @property
    def is_overused(self) -> bool:
        """Whether more pages are in use than its blocks may have: a process wrote to others than those given to it."""
        with self._change:
            allowed = self._stride * len(self._allocated) + self._max_idle_bytes + SLACK_BYTES
            return not self._closed and self.memory.resident_bytes > allowed

    def reclaim(self) -> None:
        """Return the pages that free blocks should not have to the OS."""
        with self._change:
            for offset in () if self._closed else self._free:
                kept = _whole_pages(self._resident.get(offset, 0))
                self.memory.discard(offset + kept, self._stride - kept)

    @property
    def allocated(self) -> int:
        """The number of blocks that are allocated now."""
        with self._change:
            return len(self._allocated)

    def close(self) -> None:
        """End every wait and close the memory."""
        with self._change:
            if not self._closed:
                self._closed = True
                self.memory.close()
            self._change.notify_all()


def _whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
