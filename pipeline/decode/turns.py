"""Which file gets the next free child: many small ones never wait for a few that need long."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Lends each child to one thread at a time, in the order of asking. Thread safe.

    Slow files may use half of the children, rounded down, and otherwise wait behind all quick ones. While no quick file
    waits they may use all children but one, so that the next quick file finds one free.
    """

    def __init__(self, children: Sequence[T]) -> None:
        self._idle = list(children)  # a stack: the child that worked last is used first
        self._slow_half, self._most_slow = len(children) // 2, max(1, len(children) - 1)
        self._slow_running = 0
        self._quick, self._slow = deque[SimpleQueue[T]](), deque[SimpleQueue[T]]()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, is_slow: bool) -> Iterator[T]:
        """Blocks until there is a child for such a file."""
        waiter = SimpleQueue[T]()
        with self._lock:
            (self._slow if is_slow else self._quick).append(waiter)
            self._hand_out()
        child = waiter.get()
        try:
            yield child
        finally:
            with self._lock:
                self._idle.append(child)
                self._slow_running -= is_slow
                self._hand_out()

    def _hand_out(self) -> None:
        while self._idle and (waiter := self._next()) is not None:
            waiter.put(self._idle.pop())

    def _next(self) -> SimpleQueue[T] | None:
        most = self._most_slow if not self._quick else self._slow_half
        if self._slow and self._slow_running < most:
            self._slow_running += 1
            return self._slow.popleft()
        return self._quick.popleft() if self._quick else None
