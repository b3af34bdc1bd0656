"""The interface of every store of answers, and the store that keeps nothing."""

from __future__ import annotations

from typing import Protocol

from sightstream.pipeline.cache.cached_answer import CachedAnswer


class ResultCache(Protocol):
    """Keeps answers by key, a sha256 in hex. Thread safe; raises nothing, even when its backend fails."""

    def get(self, key: str) -> CachedAnswer | None:
        """Return the answer put under this key, or None if there is none or it has expired.

        Blocks for the cache's time limit at most.
        """

    def put(self, key: str, answer: CachedAnswer) -> None:
        """Keep an answer if possible. Never blocks."""

    def close(self) -> None:
        """End its threads and connections within a second. Call it once."""


class NoCache:
    """A `ResultCache` that keeps nothing."""

    def get(self, key: str) -> CachedAnswer | None:
        return None

    def put(self, key: str, answer: CachedAnswer) -> None:
        pass

    def close(self) -> None:
        pass
