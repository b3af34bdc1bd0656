"""Blocks of shared memory, handed out and taken back: where the pictures in flight lie."""

from __future__ import annotations

import mmap
import threading
from collections import deque
from dataclasses import dataclass, field, replace

from sightstream.pipeline.errors import Cancelled
from sightstream.pipeline.memory_file import MemoryFile


@dataclass(frozen=True, slots=True)
class Block:
    """`length` bytes at `offset`. Travels as these two numbers; `within` says in which memory, in each process.

    The first `kept` of them have their room already, from a picture that lay there before.
    """

    offset: int
    length: int
    memory: MemoryFile | None = field(default=None, repr=False, compare=False)
    kept: int = field(default=0, repr=False, compare=False)

    def __len__(self) -> int:
        return self.length

    def view(self) -> memoryview:
        """The bytes; good until the block is given back."""
        if self.memory is None:
            raise ValueError("this block has not been placed within a memory")
        return self.memory.view(self.offset, self.length)

    def within(self, memory: MemoryFile) -> Block:
        return replace(self, memory=memory)

    def __reduce__(self) -> tuple[type[Block], tuple[int, int]]:
        return Block, (self.offset, self.length)


class Arena:
    """`count` equal blocks of one memory. Thread safe.

    A block takes room from when it is first written. Given back it keeps it, and is the first to be handed out again;
    but once all that lie idle keep `idle_bytes`, the room of any further one goes back to the machine. So the memory
    in use is what is handed out and `idle_bytes`, whatever sizes came before.
    """

    def __init__(self, block_bytes: int, count: int, idle_bytes: int = 256 * 1024**2) -> None:
        stride = -(-block_bytes // mmap.PAGESIZE) * mmap.PAGESIZE  # room goes back in whole pages
        self.memory = MemoryFile(stride * count)
        self._block_bytes = block_bytes
        self._idle_bytes = idle_bytes
        self._idle = 0
        self._free = deque(number * stride for number in reversed(range(count)))  # those with room at the right
        self._written: dict[int, int] = {}
        self._taken: set[int] = set()
        self._closed = False
        self._change = threading.Condition()

    def take(self) -> Block:
        """Blocks until one is free. Raises Cancelled once closed."""
        with self._change:
            self._change.wait_for(lambda: self._closed or self._free)
            if self._closed:
                raise Cancelled("the flow is stopping")
            offset = self._free.pop()
            kept = self._written.get(offset, 0)
            self._idle -= kept
            self._taken.add(offset)
        return Block(offset, self._block_bytes, self.memory, kept)

    def give_back(self, block: Block) -> None:
        """Once for each taken; nobody reads or writes it any more. Raises KeyError for one that is not taken.

        All `block.length` bytes have been written.
        """
        self._end(block, max(block.kept, block.length), may_stay=True)

    def give_up(self, block: Block) -> None:
        """As `give_back`, when nobody knows how much was written: its room goes back to the machine."""
        self._end(block, self._block_bytes, may_stay=False)

    def _end(self, block: Block, written: int, may_stay: bool) -> None:
        with self._change:
            self._taken.remove(block.offset)
            if not self._closed:
                self._lay_aside(block.offset, written, may_stay)
            self._change.notify()

    def _lay_aside(self, offset: int, written: int, may_stay: bool) -> None:
        if may_stay and self._idle + written <= self._idle_bytes:
            self._written[offset] = written
            self._idle += written
            self._free.append(offset)
        else:
            self._written.pop(offset, None)
            self.memory.discard(offset, written)
            self._free.appendleft(offset)

    @property
    def taken(self) -> int:
        with self._change:
            return len(self._taken)

    def close(self) -> None:
        """Ends every wait, and lets go of the memory."""
        with self._change:
            if not self._closed:
                self._closed = True
                self.memory.close()
            self._change.notify_all()
