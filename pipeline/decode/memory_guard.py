"""Guards the shared memory: a child that a file took over can write to all of it, and to more than the machine has."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sightstream.pipeline.shared_memory_pool import SharedMemoryPool

log = logging.getLogger(__name__)

INTERVAL_S = 0.1


class MemoryGuard:
    """Looks at the memory again and again, on a thread of its own."""

    def __init__(self, pool: SharedMemoryPool, end_children: Callable[[], None]) -> None:
        """`end_children` kills every process that can write to the memory, and returns when they are dead."""
        self._pool, self._end_children = pool, end_children
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-guard", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            if self._pool.is_overused and not self._free():
                log.error("the system keeps the pages of the decoders' memory; it is not guarded any more")
                return

    def _free(self) -> bool:
        """End the children, for each may be the one. Return whether that has freed enough."""
        log.error("a decode process wrote to memory that is not its own; all of them are replaced")
        self._end_children()
        self._pool.reclaim()
        return not self._pool.is_overused
