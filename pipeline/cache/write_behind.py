"""Writes answers on a thread of its own, so that no result waits for them."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.metrics import CACHE_WRITES

log = logging.getLogger(__name__)

CLOSE_PATIENCE_S = 0.5


class WriteBehind:
    """Thread safe. `write` is called with one answer at a time.

    At most `most` answers wait; what comes on top is dropped and counted. What waits can be read already.
    """

    def __init__(self, write: Callable[[str, CachedAnswer], None], most: int) -> None:
        self._write, self._most = write, most
        self._waiting: OrderedDict[str, CachedAnswer] = OrderedDict()
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="cache-writer", daemon=True)
        self._thread.start()

    def put(self, key: str, answer: CachedAnswer) -> None:
        with self._change:
            kept = not self._closed and (key in self._waiting or len(self._waiting) < self._most)
            if kept:
                self._waiting[key] = answer
                self._change.notify()
        if not kept:
            CACHE_WRITES.labels("dropped").inc()

    def get(self, key: str) -> CachedAnswer | None:
        with self._change:
            return self._waiting.get(key)

    def close(self) -> None:
        """What waits has CLOSE_PATIENCE_S to be written."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join(CLOSE_PATIENCE_S)
        with self._change:
            self._waiting.clear()

    def _run(self) -> None:
        while (first := self._first()) is not None:
            try:
                self._write(*first)
            except Exception:
                log.exception("an answer was not written to the cache")  # the next one may be
            self._done(*first)

    def _first(self) -> tuple[str, CachedAnswer] | None:
        with self._change:
            self._change.wait_for(lambda: self._closed or self._waiting)
            return next(iter(self._waiting.items()), None)

    def _done(self, key: str, answer: CachedAnswer) -> None:
        with self._change:
            if self._waiting.get(key) is answer:
                del self._waiting[key]
