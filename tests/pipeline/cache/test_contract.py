"""The contract of every cache that keeps answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from sightstream.pipeline.cache.memory import MemoryCache
from sightstream.pipeline.cache.protocol import ResultCache
from sightstream.pipeline.cache.redis_cache import RedisCache
from sightstream.pipeline.cache.settings import CacheSettings
from tests.pipeline.cache.redis_server import RedisServer
from tests.pipeline.samples import Clock, answer, key, wait_until

TTL_S = 60.0


@dataclass
class InMemory:
    clock: Clock
    cache: ResultCache

    def flush(self) -> None:
        """Wait until every answer is written."""

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


@dataclass
class InRedis:
    server: RedisServer
    prefix: str
    cache: RedisCache

    def flush(self) -> None:
        wait_until(lambda: not self.cache._writer._waiting)

    def pass_time(self, seconds: float) -> None:
        """Shorten the remaining life of each key on the server."""
        self.flush()
        client: Any = self.server.client
        for name in client.scan_iter(f"{self.prefix}*"):
            left_ms = client.pttl(name)
            assert 0 < left_ms <= TTL_S * 1000
            client.pexpire(name, int(left_ms - seconds * 1000))


@pytest.fixture(params=["memory", "redis", "signed redis"])
def kept(request: pytest.FixtureRequest) -> Iterator[InMemory | InRedis]:
    if request.param == "memory":
        clock = Clock()
        yield InMemory(clock, MemoryCache(100, 250_000, TTL_S, clock))
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    prefix = f"{uuid4().hex}:"
    signing_key = SecretStr("k") if request.param == "signed redis" else None
    settings = CacheSettings(
        kind="redis",
        url=SecretStr(server.url),
        ttl_s=TTL_S,
        key_prefix=prefix,
        signing_key=signing_key,
        connect_timeout_s=10,
        read_timeout_s=10,
    )
    cache = RedisCache(settings)
    yield InRedis(server, prefix, cache)
    cache.close()


def test_an_answer_comes_back_unchanged(kept: InMemory | InRedis) -> None:
    odd = 'é 猫 \U0001f408 "\\n" \r\n\t\x01\x7f\u2028 <SUMMARY>'
    answers = {key(n): answer(odd * n, completion_tokens=n, finish_reason="length") for n in range(5)}
    for name, one in answers.items():
        kept.cache.put(name, one)
    kept.flush()
    assert {name: kept.cache.get(name) for name in answers} == answers


def test_it_can_be_read_at_once(kept: InMemory | InRedis) -> None:
    for number in range(50):
        kept.cache.put(key(number), answer(str(number)))
        assert kept.cache.get(key(number)) == answer(str(number))


def test_a_key_never_put_is_a_miss(kept: InMemory | InRedis) -> None:
    kept.cache.put(key(1), answer())
    assert kept.cache.get(key(2)) is None


def test_the_last_put_wins(kept: InMemory | InRedis) -> None:
    for text in ("old", "new"):
        kept.cache.put(key(), answer(text))
        kept.flush()
    assert kept.cache.get(key()) == answer("new")


def test_an_answer_expires(kept: InMemory | InRedis) -> None:
    kept.cache.put(key(), answer())
    kept.pass_time(TTL_S / 2)
    assert kept.cache.get(key()) == answer()
    kept.pass_time(TTL_S / 2)
    assert kept.cache.get(key()) is None


def test_reading_does_not_extend_the_life_of_an_answer(kept: InMemory | InRedis) -> None:
    kept.cache.put(key(), answer())
    for _ in range(4):
        assert kept.cache.get(key()) is not None
        kept.pass_time(TTL_S / 4)
    assert kept.cache.get(key()) is None


def test_an_answer_that_is_too_large_is_not_kept_and_harms_no_other(kept: InMemory | InRedis) -> None:
    kept.cache.put(key(1), answer("small"))
    kept.cache.put(key(2), answer("x" * 300_000))
    kept.flush()
    assert kept.cache.get(key(1)) == answer("small")
    assert kept.cache.get(key(2)) is None


def test_after_close_it_raises_nothing(kept: InMemory | InRedis) -> None:
    kept.cache.put(key(), answer())
    kept.cache.close()
    kept.cache.put(key(1), answer())
    kept.cache.get(key())
