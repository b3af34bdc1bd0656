"""Writes answers on a thread of its own, so that no result waits for a write."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.metrics import CACHE_WRITES

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 0.5


class WriteBehind:
    """Thread safe. `write` is called with one answer at a time.

    At most `max_unwritten` answers wait; further ones are dropped and counted. `get` returns the waiting ones.
    """

    def __init__(self, write: Callable[[str, CachedAnswer], None], max_unwritten: int) -> None:
        self._write, self._max_unwritten = write, max_unwritten
        self._waiting: OrderedDict[str, CachedAnswer] = OrderedDict()
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="cache-writer", daemon=True)
        self._thread.start()

    def put(self, key: str, answer: CachedAnswer) -> None:
        with self._change:
            accepted = not self._closed and (key in self._waiting or len(self._waiting) < self._max_unwritten)
            if accepted:
                self._waiting[key] = answer
                self._change.notify()
        if not accepted:
            CACHE_WRITES.labels("dropped").inc()

    def get(self, key: str) -> CachedAnswer | None:
        with self._change:
            return self._waiting.get(key)

    def close(self) -> None:
        """Write the waiting answers for CLOSE_TIMEOUT_S at most, then drop the rest."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        with self._change:
            self._waiting.clear()

    def _run(self) -> None:
        while (first := self._wait_for_first()) is not None:
            try:
                self._write(*first)
            except Exception:
                log.exception("an answer was not written to the cache")  # the next write may succeed
            self._remove(*first)

    def _wait_for_first(self) -> tuple[str, CachedAnswer] | None:
        with self._change:
            self._change.wait_for(lambda: self._closed or self._waiting)
            return next(iter(self._waiting.items()), None)

    def _remove(self, key: str, answer: CachedAnswer) -> None:
        with self._change:
            if self._waiting.get(key) is answer:
                del self._waiting[key]
