"""Keeps answers in Redis, shared by all workers. It may be down, slow or full of lies: then there is nothing in it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from redis import Redis, ResponseError
from redis.backoff import NoBackoff
from redis.retry import Retry

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.cache.envelope import MAX_BYTES, seal, unseal
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.cache.write_behind import WriteBehind
from sightstream.pipeline.circuit_breaker import CircuitBreaker
from sightstream.pipeline.errors import Fatal
from sightstream.pipeline.metrics import CACHE_LOOKUPS, CACHE_WRITES
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout

log = logging.getLogger(__name__)

ROUND_TRIPS = 3  # of a first call: AUTH, SELECT, the call itself


class RedisCache:
    """A `ResultCache`. A look-up blocks for one connect and ROUND_TRIPS reads at most; writes have their own thread."""

    def __init__(self, settings: CacheSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Connects to nothing yet. `settings.url` must be set. Raises Fatal where it can't be meant."""
        assert settings.url is not None  # noqa: S101
        self._settings = settings
        self._signing_key = settings.signing_key.get_secret_value().encode() if settings.signing_key else None
        self._redis = _client(settings, settings.url.get_secret_value())
        self._limit_s = settings.connect_timeout_s + ROUND_TRIPS * settings.read_timeout_s
        self._breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_probe_s, clock)
        self._writer = WriteBehind(self._write, settings.max_unwritten)

    def get(self, key: str) -> CachedAnswer | None:
        answer, outcome = self._look_up(key)
        CACHE_LOOKUPS.labels(outcome).inc()
        return answer

    def put(self, key: str, answer: CachedAnswer) -> None:
        self._writer.put(key, answer)

    def close(self) -> None:
        self._writer.close()
        self._disconnect()

    def _look_up(self, key: str) -> tuple[CachedAnswer | None, str]:
        if (unwritten := self._writer.get(key)) is not None:
            return unwritten, "hit"
        if not self._breaker.allows():
            return None, "skipped"
        try:
            data = self._ask(self._read, key)
        except Exception as error:
            self._note(error)
            return None, "error"
        if data == b"":
            return None, "miss"
        answer = unseal(key, data, self._signing_key) if isinstance(data, bytes) else None
        if answer is None:
            self._delete(key)
            return None, "poisoned"
        return answer, "hit"

    def _read(self, key: str) -> Any:
        """No more of it than an answer may be long; empty where there is nothing; None for what is no string."""
        try:
            return self._redis.getrange(self._name(key), 0, MAX_BYTES)
        except ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                return None
            raise

    def _write(self, key: str, answer: CachedAnswer) -> None:
        data = seal(key, answer, self._signing_key)
        if data is None:
            CACHE_WRITES.labels("too_large").inc()
        elif not self._breaker.allows():
            CACHE_WRITES.labels("skipped").inc()
        else:
            self._change(lambda: self._redis.set(self._name(key), data, px=int(self._settings.ttl_s * 1000)), "written")

    def _delete(self, key: str) -> None:
        self._change(lambda: self._redis.delete(self._name(key)), "deleted")

    def _change(self, call: Callable[[], object], outcome: str) -> None:
        try:
            self._ask(call)
        except Exception as error:
            self._note(error)
            outcome = "error"
        CACHE_WRITES.labels(outcome).inc()

    def _name(self, key: str) -> str:
        return self._settings.key_prefix + key

    # --- the server, which may do anything ----------------------------------------------------------------

    def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """On a thread of its own: names that don't resolve and replies that come byte by byte have no time-out."""
        try:
            answer = call_with_timeout(call, *arguments, timeout_s=self._limit_s)
        except CallTimedOut:
            self._disconnect()  # wakes it
            raise
        self._breaker.record_success()
        return answer

    def _note(self, error: Exception) -> None:
        """Only the kind: what the server says, or what the library says of the address, may hold a secret."""
        if self._breaker.record_failure():
            pause = self._settings.breaker_probe_s
            log.warning("the cache fails (%s); left alone for %s s at a time", type(error).__name__, pause)

    def _disconnect(self) -> None:
        try:
            self._redis.connection_pool.disconnect(inuse_connections=True)
        except Exception as error:
            log.debug("disconnecting from the cache failed: %s", type(error).__name__)


def _client(settings: CacheSettings, url: str) -> Redis:
    try:
        return Redis.from_url(
            url,
            socket_connect_timeout=settings.connect_timeout_s,
            socket_timeout=settings.read_timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )
    except ValueError:
        raise Fatal("the cache's url can't be read; write it as redis://user:password@host:port/number") from None
