"""The places at one store or host: no more than it bears, first come, first served."""

from __future__ import annotations

import threading
from collections import deque

from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient, Trouble
from sightstream.pipeline.fetch.window import Window


class Lane:
    """Thread safe. Every `enter` that returns is followed by one `leave`, with what `enter` gave.

    That is the number of the round. A failure ends a round: those that were under way with it would tell the same
    thing again, so only the fetches that began after it count.
    """

    def __init__(self, window: Window, down_after_failures: int) -> None:
        self._window = window
        self._down_after_failures = down_after_failures
        self._round = 0
        self._lock = threading.Lock()
        self._in_use = 0
        self._failures = 0
        self._waiting: deque[threading.Event] = deque()

    def enter(self, limit: TimeLimit) -> int:
        """Blocks until there is a place. Raises Transient when none is had in time."""
        with self._lock:
            if self._in_use < self._window.limit:  # then nobody waits: `leave` lets in as many as there is room for
                self._in_use += 1
                return self._round
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            came = turn.wait(limit.left_s())
        except Transient:
            came = False
        if not came:
            self._give_up(turn)
        return self._round

    def _give_up(self, turn: threading.Event) -> None:
        with self._lock:
            if turn.is_set():  # it came between the end of the wait and here
                return
            self._waiting.remove(turn)
        raise Transient(Trouble.BUSY, "no place among the fetches from this host came free in time")

    def leave(self, began: int, trouble: Transient | None) -> None:
        """None: the server answered as it should, even if it said no."""
        with self._lock:
            self._learn(began, trouble)
            self._in_use -= 1
            while self._waiting and self._in_use < self._window.limit:
                self._in_use += 1
                self._waiting.popleft().set()

    def _learn(self, began: int, trouble: Transient | None) -> None:
        if trouble is None:
            self._failures = 0
            self._window.succeeded(self._in_use)
        elif began == self._round:
            self._round += 1
            self._failures += 1
            if trouble.overload:
                self._window.overloaded()

    @property
    def down(self) -> bool:
        """Nothing succeeded for so long that trying again at once is in vain."""
        return self._failures >= self._down_after_failures

    @property
    def idle(self) -> bool:
        return self._in_use == 0

    @property
    def limit(self) -> int:
        return self._window.limit
