"""Keeps answers in this process' memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.metrics import CACHE_BYTES, CACHE_ENTRIES, CACHE_LOOKUPS, CACHE_WRITES

# What an entry takes beside its text, by sys.getsizeof over all its parts, rounded up.
OVERHEAD_BYTES = 2000


@dataclass(frozen=True, slots=True)
class _Entry:
    """The text as UTF-8: as a `str` it can take eight bytes a character, and nobody knows when."""

    text: bytes
    rest: CachedAnswer
    ends: float

    @classmethod
    def of(cls, answer: CachedAnswer, ends: float) -> _Entry:
        return cls(answer.text.encode(), answer.model_copy(update={"text": ""}), ends)

    @property
    def answer(self) -> CachedAnswer:
        return self.rest.model_copy(update={"text": self.text.decode()})

    @property
    def size(self) -> int:
        return OVERHEAD_BYTES + len(self.text)


class MemoryCache:
    """A `ResultCache` that forgets what was not asked for the longest when `max_entries` or `max_bytes` is passed."""

    def __init__(
        self, max_entries: int, max_bytes: int, ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_entries, self._max_bytes, self._ttl_s, self._clock = max_entries, max_bytes, ttl_s, clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> CachedAnswer | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.ends <= self._clock():
                self._drop(key)
                entry = None
            if entry is not None:
                self._entries.move_to_end(key)
            self._show()
        CACHE_LOOKUPS.labels("miss" if entry is None else "hit").inc()
        return None if entry is None else entry.answer

    def put(self, key: str, answer: CachedAnswer) -> None:
        entry = _Entry.of(answer, self._clock() + self._ttl_s)
        fits = entry.size <= self._max_bytes
        with self._lock:
            self._drop(key)
            if fits:
                self._entries[key] = entry
                self._bytes += entry.size
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))
            self._show()
        CACHE_WRITES.labels("written" if fits else "too_large").inc()

    def close(self) -> None:
        with self._lock:
            self._entries.clear()
            self._bytes = 0
            self._show()

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        self._bytes -= entry.size if entry else 0

    def _show(self) -> None:
        CACHE_ENTRIES.set(len(self._entries))
        CACHE_BYTES.set(self._bytes)
