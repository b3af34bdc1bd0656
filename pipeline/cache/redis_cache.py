"""Keeps answers in Redis, shared by all workers. If Redis is down, slow or holds forgeries, nothing is found."""

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

ROUND_TRIPS = 3  # in the first call on a connection: AUTH, SELECT, the call itself


class RedisCache:
    """A `ResultCache`. `get` blocks for one connect and ROUND_TRIPS reads at most; writes have their own thread."""

    def __init__(self, settings: CacheSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Connect to nothing yet. `settings.url` must be set. Raises Fatal if it is malformed."""
        assert settings.url is not None  # noqa: S101
        self._settings = settings
        self._signing_key = settings.signing_key.get_secret_value().encode() if settings.signing_key else None
        self._redis = _client(settings, settings.url.get_secret_value())
        self._limit_s = settings.connect_timeout_s + ROUND_TRIPS * settings.read_timeout_s
        self._breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_probe_s, clock)
        self._writer = WriteBehind(self._write, settings.max_unwritten)

    def get(self, key: str) -> CachedAnswer | None:
        answer, outcome = self._get(key)
        CACHE_LOOKUPS.labels(outcome).inc()
        return answer

    def put(self, key: str, answer: CachedAnswer) -> None:
        self._writer.put(key, answer)

    def close(self) -> None:
        self._writer.close()
        self._disconnect()

    def _get(self, key: str) -> tuple[CachedAnswer | None, str]:
        if (unwritten := self._writer.get(key)) is not None:
            return unwritten, "hit"
        if not self._breaker.allows():
            return None, "skipped"
        try:
            data = self._call(self._read, key)
        except Exception as error:
            self._record_failure(error)
            return None, "error"
        if data == b"":
            return None, "miss"
        answer = unseal(key, data, self._signing_key) if isinstance(data, bytes) else None
        if answer is None:
            self._delete(key)
            return None, "poisoned"
        return answer, "hit"

    def _read(self, key: str) -> Any:
        """Read at most one byte more than an answer may have.

        Return b"" for a missing key and None for a value that is no string.
        """
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
            self._call(call)
        except Exception as error:
            self._record_failure(error)
            outcome = "error"
        CACHE_WRITES.labels(outcome).inc()

    def _name(self, key: str) -> str:
        return self._settings.key_prefix + key

    # --- calls to the server, which may misbehave in any way ------------------------------------------------

    def _call(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call Redis on a thread of its own: slow name resolution and slow-drip replies escape socket timeouts."""
        try:
            answer = call_with_timeout(call, *arguments, timeout_s=self._limit_s)
        except CallTimedOut:
            self._disconnect()  # this ends the blocked call
            raise
        self._breaker.record_success()
        return answer

    def _record_failure(self, error: Exception) -> None:
        """Log only the error's type: the server's message, or the library's about the URL, may hold a secret."""
        if self._breaker.record_failure():
            probe_s = self._settings.breaker_probe_s
            log.warning(
                "the cache failed (%s) and is left alone; one request every %s s checks whether it is back",
                type(error).__name__,
                probe_s,
            )

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
        raise Fatal("the cache's URL can't be read; write it as redis://user:password@host:port/number") from None
