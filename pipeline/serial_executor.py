"""Runs the steps that concern one object one after the other, although several threads bring them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class SerialExecutor:
    """Never runs two steps at once, so the steps need no lock. Thread safe."""

    def __init__(self) -> None:
        self._steps: deque[Callable[[], None]] = deque()
        self._running = threading.Lock()

    def run(self, step: Callable[[], None]) -> None:
        """Run a step now, or leave it to the thread that runs another one. Never waits for that thread."""
        self._steps.append(step)
        self._run_steps()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run the body as a step on this thread, for work that no other thread may get. Waits for the step that runs.

        Steps that come meanwhile run at the end.
        """
        with self._running:
            yield
        self._run_steps()

    def _run_steps(self) -> None:
        while self._steps and self._running.acquire(blocking=False):
            try:
                while self._steps:
                    self._steps.popleft()()
            finally:
                self._running.release()
