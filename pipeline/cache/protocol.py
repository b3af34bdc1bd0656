"""What every cache does, and the one that does nothing."""

from __future__ import annotations

from typing import Protocol

from sightstream.pipeline.cache.cached_answer import CachedAnswer


class ResultCache(Protocol):
    """Answers by key, a sha256 in hex. Thread safe; raises nothing, whatever has happened to it."""

    def get(self, key: str) -> CachedAnswer | None:
        """What was put under this very key and not long ago, else None. Blocks for the cache's time limit at most."""

    def put(self, key: str, answer: CachedAnswer) -> None:
        """Keeps it, if it can. Never blocks."""

    def close(self) -> None:
        """Ends its threads and connections, soon; to be called once."""


class NoCache:
    """Keeps nothing."""

    def get(self, key: str) -> CachedAnswer | None:
        return None

    def put(self, key: str, answer: CachedAnswer) -> None:
        pass

    def close(self) -> None:
        pass
