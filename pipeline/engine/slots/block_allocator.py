"""Hands out the KV cache's blocks by number. Knows neither torch nor what a block holds."""

from __future__ import annotations

from collections.abc import Iterable

PAGE_SIZE = 128  # tokens of self-attention in one page


def pages_for(tokens: int) -> int:
    """Return how many pages of self-attention so many tokens need."""
    return -(-tokens // PAGE_SIZE)


class BlockAllocator:
    """Allocates blocks 1 to `count` - 1. Block 0 has no owner: idle rows of a batch read and write it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = list(range(count - 1, 0, -1))

    def __len__(self) -> int:
        """Return how many blocks are free."""
        return len(self._free)

    def allocate(self, count: int) -> list[int]:
        """Return `count` blocks; the caller makes sure that so many are free."""
        allocated = self._free[len(self._free) - count :]
        del self._free[len(self._free) - count :]
        return allocated

    def free(self, blocks: list[int]) -> None:
        self._free += blocks

    def check_integrity(self, allocated: Iterable[int] = ()) -> None:
        """Check that each block is either free or in `allocated`, once. Raises RuntimeError.

        It looks at every block, so it is for tests, not for every step.
        """
        found = sorted([*self._free, *allocated])
        if found != list(range(1, self._count)):
            wrong = sorted(set(range(1, self._count)) ^ set(found)) or "some blocks twice"
            raise RuntimeError(f"the free and the allocated blocks are not all blocks, each once: {wrong}")
