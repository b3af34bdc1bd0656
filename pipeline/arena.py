"""Blocks of shared memory, handed out and taken back: where the pictures in flight lie."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from pipeline.errors import Cancelled
from pipeline.memory_file import MemoryFile


@dataclass(frozen=True, slots=True)
class Block:
    """`length` bytes at `offset`. Travels as these two numbers; `within` says in which memory, in each process."""

    offset: int
    length: int
    memory: MemoryFile | None = field(default=None, repr=False, compare=False)

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

    A block given back is the first to be handed out again, so that no more memory is in use than was needed at once.
    """

    def __init__(self, block_bytes: int, count: int) -> None:
        self.memory = MemoryFile(block_bytes * count)
        self._block_bytes = block_bytes
        self._free = [number * block_bytes for number in reversed(range(count))]
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
            self._taken.add(offset)
        return Block(offset, self._block_bytes, self.memory)

    def give_back(self, block: Block) -> None:
        """Once for each taken; nobody reads or writes it any more. Raises KeyError for one that is not taken."""
        with self._change:
            self._taken.remove(block.offset)
            self._free.append(block.offset)
            self._change.notify()

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
