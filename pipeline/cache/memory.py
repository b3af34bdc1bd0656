"""Keeps answers in this process's memory."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.metrics import CACHE_BYTES, CACHE_ENTRIES, CACHE_LOOKUPS, CACHE_WRITES

# The size of an entry beside its JSON, by sys.getsizeof over all its parts, rounded up.
OVERHEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class _Entry:
    """An answer as JSON in UTF-8: the objects of a parsed one need several times as much."""

    data: bytes
    expires_at: float

    @classmethod
    def of(cls, answer: CachedAnswer, expires_at: float) -> _Entry:
        return cls(answer.model_dump_json(exclude_defaults=True).encode(), expires_at)

    @property
    def answer(self) -> CachedAnswer:
        return CachedAnswer.model_validate_json(self.data)

    @property
    def size_bytes(self) -> int:
        return OVERHEAD_BYTES + len(self.data)


class MemoryCache:
    """A `ResultCache` that drops the least recently used answers beyond `max_entries` or `max_bytes`."""

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
            if entry is not None and entry.expires_at <= self._clock():
                self._drop(key)
                entry = None
            if entry is not None:
                self._entries.move_to_end(key)
            self._report_size()
        CACHE_LOOKUPS.labels("miss" if entry is None else "hit").inc()
        return None if entry is None else entry.answer

    def put(self, key: str, answer: CachedAnswer) -> None:
        entry = _Entry.of(answer, self._clock() + self._ttl_s)
        fits = entry.size_bytes <= self._max_bytes
        with self._lock:
            self._drop(key)
            if fits:
                self._entries[key] = entry
                self._bytes += entry.size_bytes
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))
            self._report_size()
        CACHE_WRITES.labels("written" if fits else "too_large").inc()

    def close(self) -> None:
        with self._lock:
            self._entries.clear()
            self._bytes = 0
            self._report_size()

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        self._bytes -= entry.size_bytes if entry else 0

    def _report_size(self) -> None:
        CACHE_ENTRIES.set(len(self._entries))
        CACHE_BYTES.set(self._bytes)
