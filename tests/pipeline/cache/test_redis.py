"""Redis is down, slow, closed, no Redis at all, or full of forgeries: nothing raises, blocks or is believed."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import Counter
from pydantic import SecretStr

from sightstream.pipeline.cache.envelope import seal
from sightstream.pipeline.cache.redis_cache import RedisCache
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.errors import Fatal
from sightstream.pipeline.metrics import CACHE_LOOKUPS, CACHE_WRITES
from tests.pipeline.cache.fake_servers import Behaviour, FakeServer, drips, floods, hangs_up, is_silent, says
from tests.pipeline.cache.redis_server import RedisServer, free_port
from tests.pipeline.samples import Clock, answer, key, wait_until

LONG_TIMEOUT_S = 10.0

Build = Callable[..., RedisCache]


class Counted:
    """Returns what a counter has counted since this was made, by outcome."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        samples = (sample for metric in self._counter.collect() for sample in metric.samples)
        return {s.labels["outcome"]: s.value for s in samples if s.name.endswith("_total")}

    def __call__(self) -> dict[str, float]:
        return {name: new for name, value in self._now().items() if (new := value - self._before.get(name, 0))}


@pytest.fixture
def build() -> Iterator[Build]:
    """Return `build(url)`: a cache with keys of its own and long timeouts, so that a busy machine is no failure."""
    made: list[RedisCache] = []

    def build(url: str, clock: Callable[[], float] = time.monotonic, **changes: Any) -> RedisCache:
        fields = {
            "connect_timeout_s": LONG_TIMEOUT_S,
            "read_timeout_s": LONG_TIMEOUT_S,
            "key_prefix": f"{uuid4().hex}:",
            **changes,
        }
        made.append(RedisCache(CacheSettings(kind="redis", url=SecretStr(url), **fields), clock))
        return made[-1]

    yield build
    for cache in made:
        cache.close()


@pytest.fixture
def fake() -> Iterator[Callable[[Behaviour], FakeServer]]:
    made: list[FakeServer] = []

    def start(behave: Behaviour) -> FakeServer:
        made.append(FakeServer(behave))
        return made[-1]

    yield start
    for server in made:
        server.stop()


def flush(cache: RedisCache) -> None:
    wait_until(lambda: not cache._writer._waiting)


def put(cache: RedisCache, name: str, text: str = "a mug") -> None:
    cache.put(name, answer(text))
    flush(cache)


# --- outages ----------------------------------------------------------------------------------------------


def test_nothing_listens(build: Build) -> None:
    lookups, writes = Counted(CACHE_LOOKUPS), Counted(CACHE_WRITES)
    cache = build(f"redis://127.0.0.1:{free_port()}/0", breaker_failures=3)
    for number in range(5):
        assert cache.get(key(number)) is None
    put(cache, key())
    assert lookups() == {"error": 3, "skipped": 2}
    assert writes() == {"skipped": 1}


def test_a_killed_server_comes_back(build: Build, fragile: RedisServer) -> None:
    clock = Clock()
    cache = build(fragile.url, clock, breaker_failures=2, breaker_probe_s=10)
    put(cache, key(1))
    assert cache.get(key(1)) is not None
    fragile.kill()
    lookups = Counted(CACHE_LOOKUPS)
    for _ in range(4):
        assert cache.get(key(1)) is None
    assert lookups() == {"error": 2, "skipped": 2}
    fragile.start()
    assert cache.get(key(1)) is None
    assert lookups() == {"error": 2, "skipped": 3}
    clock.now += 10
    assert cache.get(key(1)) is None  # it came back empty
    assert lookups() == {"error": 2, "skipped": 3, "miss": 1}
    put(cache, key(1))
    assert cache.get(key(1)) is not None


def test_a_failed_probe_keeps_the_breaker_open_for_all(build: Build) -> None:
    clock, lookups = Clock(), Counted(CACHE_LOOKUPS)
    cache = build(f"redis://127.0.0.1:{free_port()}/0", clock, breaker_failures=1, breaker_probe_s=10)
    for _ in range(3):
        for _ in range(4):
            assert cache.get(key()) is None
        clock.now += 10
    assert lookups() == {"error": 3, "skipped": 9}


def test_a_frozen_server_costs_little_time_and_then_none(build: Build, fragile: RedisServer) -> None:
    clock = Clock()
    cache = build(
        fragile.url, clock, connect_timeout_s=0.05, read_timeout_s=0.05, breaker_failures=2, breaker_probe_s=10
    )
    fragile.freeze()
    lookups = Counted(CACHE_LOOKUPS)
    started = time.monotonic()
    for _ in range(200):
        assert cache.get(key()) is None
    assert time.monotonic() - started < 5  # two time limits; two hundred would take ten seconds at least
    assert lookups() == {"error": 2, "skipped": 198}
    fragile.thaw()
    fragile.client.ping()
    clock.now += 10
    wait_until(lambda: _is_back(cache, clock))


def _is_back(cache: RedisCache, clock: Clock) -> bool:
    """On a busy machine a probe may exceed 50 ms now and then, so try another."""
    clock.now += 10
    put(cache, key())
    return cache.get(key()) is not None


@pytest.mark.parametrize("url", ["bare_url", "wrong"])
def test_a_wrong_password_is_a_failure_like_others(
    build: Build, fragile: RedisServer, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = fragile.bare_url if url == "bare_url" else fragile.url.replace("pa55", "c4n4ry")
    lookups, writes = Counted(CACHE_LOOKUPS), Counted(CACHE_WRITES)
    with caplog.at_level(logging.DEBUG):
        cache = build(address, breaker_failures=3)
        put(cache, key())
        for _ in range(3):
            assert cache.get(key()) is None
    assert lookups() == {"error": 2, "skipped": 1}
    assert writes() == {"error": 1}
    assert "left alone" in caplog.text
    assert "c4n4ry" not in caplog.text
    assert not fragile.client.keys()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"\x00\xff\xfe garbage\r\n",
        b"$-2\r\n",
        b"$abc\r\n",
        b"*1000000\r\n" + b"*1\r\n" * 100,
        b":" + b"9" * 5000 + b"\r\n",
        b"-ERR c4n4ry\r\n",
        b"-LOADING wait\r\n",
        b"-READONLY no\r\n",
    ],
)
def test_a_server_that_is_no_redis(
    build: Build, fake: Callable[[Behaviour], FakeServer], reply: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cache = build(fake(says(reply)).url, connect_timeout_s=0.2, read_timeout_s=0.2, breaker_failures=3)
    lookups = Counted(CACHE_LOOKUPS)
    with caplog.at_level(logging.DEBUG):
        for _ in range(4):
            assert cache.get(key()) is None
        put(cache, key())
    assert sum(lookups().values()) == 4
    assert "hit" not in lookups()
    assert "c4n4ry" not in caplog.text


@pytest.mark.parametrize("reply", [b"+OK\r\n", b"$3\r\nabc\r\n", b"$4\r\n{}\r\n\r\n", b"*2\r\n:1\r\n:2\r\n", b":7\r\n"])
def test_a_well_formed_reply_of_the_wrong_type_is_poisoned(
    build: Build, fake: Callable[[Behaviour], FakeServer], reply: bytes
) -> None:
    cache = build(fake(says(reply)).url)
    lookups = Counted(CACHE_LOOKUPS)
    assert cache.get(key()) is None
    assert lookups() == {"poisoned": 1}


@pytest.mark.parametrize("behave", [drips, floods, hangs_up, is_silent])
def test_replies_that_never_end_or_never_begin(
    build: Build, fake: Callable[[Behaviour], FakeServer], behave: Behaviour
) -> None:
    server = fake(behave)
    cache = build(server.url, connect_timeout_s=0.1, read_timeout_s=0.1, breaker_failures=2)
    lookups = Counted(CACHE_LOOKUPS)
    started = time.monotonic()
    for _ in range(3):
        assert cache.get(key()) is None
    assert time.monotonic() - started < 5
    assert lookups() == {"error": 2, "skipped": 1}
    assert len(server.accepted) == 2  # nothing is tried twice
    wait_until(lambda: "call-with-timeout" not in {thread.name for thread in threading.enumerate()})  # nor left waiting


def test_no_name_no_route(build: Build) -> None:
    cache = build("redis://no-such-host.invalid:6379/0", connect_timeout_s=0.5, read_timeout_s=0.1)
    lookups = Counted(CACHE_LOOKUPS)
    assert cache.get(key()) is None
    assert lookups() == {"error": 1}


def test_a_malformed_url_stops_the_start_and_is_not_repeated(build: Build) -> None:
    with pytest.raises(Fatal, match="can't be read") as caught:
        build("redis://:c4n4ry@localhost:6379/0?socket_timeout=c4n4ry")
    assert "c4n4ry" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_put_never_blocks_and_excess_writes_are_dropped(build: Build, fake: Callable[[Behaviour], FakeServer]) -> None:
    server = fake(is_silent)
    cache = build(server.url, max_unwritten=10, breaker_failures=1)
    writes = Counted(CACHE_WRITES)
    started = time.monotonic()
    for number in range(50):
        cache.put(key(number), answer())
    assert time.monotonic() - started < LONG_TIMEOUT_S
    assert writes() == {"dropped": 40}
    assert cache.get(key(9)) == answer()
    wait_until(lambda: server.accepted)
    server.stop()  # ends the first write's wait; the others are not tried
    flush(cache)
    assert writes() == {"dropped": 40, "error": 1, "skipped": 9}


# --- forgeries---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signing_key", [None, "k" * 32])
@pytest.mark.parametrize(
    "forgery", ["garbage", "truncated", "another key's", "too long", "a list", "unsigned or foreign"]
)
def test_a_forgery_is_a_miss_and_is_deleted(
    build: Build, redis_server: RedisServer, forgery: str, signing_key: str | None
) -> None:
    key_prefix = f"{uuid4().hex}:"
    cache = build(redis_server.url, signing_key=signing_key and SecretStr(signing_key), key_prefix=key_prefix)
    client, name = redis_server.client, key_prefix + key()
    put(cache, key())
    put(cache, key("other"), "other")
    good = client.get(name)
    assert isinstance(good, bytes)
    if forgery == "a list":
        client.delete(name)
        client.rpush(name, good)
    else:
        unsigned = seal(key(), answer("a mug"), None if signing_key else b"theirs")
        forgeries: dict[str, Any] = {
            "garbage": b"\xff\x00{",
            "truncated": good[:-1],
            "another key's": client.get(key_prefix + key("other")),
            "too long": good + b" " * 300_000,
            "unsigned or foreign": unsigned,
        }
        client.set(name, forgeries[forgery])
    lookups = Counted(CACHE_LOOKUPS)
    assert cache.get(key()) is None
    assert lookups() == {"poisoned": 1}
    assert not client.exists(name)
    assert cache.get(key("other")) == answer("other")
    put(cache, key(), "again")
    assert cache.get(key()) == answer("again")


def sealed_by_version_1(text: str) -> bytes:
    """Return what the version before wrote under this key."""
    fields = {"text": text, "finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 5}
    fields |= {"bytes": 10, "format": "PNG", "width": 7, "height": 9}
    canonical = json.dumps([1, key(), fields], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return json.dumps({"version": 1, "key": key(), "answer": fields, "digest": digest}).encode()


def test_an_entry_of_the_previous_version_is_a_miss_and_is_rebuilt(build: Build, redis_server: RedisServer) -> None:
    prefix = f"{uuid4().hex}:"
    cache = build(redis_server.url, key_prefix=prefix)
    redis_server.client.set(prefix + key(), sealed_by_version_1("old"))
    assert cache.get(key()) is None
    put(cache, key(), "new")
    assert cache.get(key()) == answer("new")


def test_workers_with_one_prefix_have_a_common_cache(build: Build, redis_server: RedisServer) -> None:
    prefix = f"{uuid4().hex}:"
    one, other = (build(redis_server.url, key_prefix=prefix) for _ in range(2))
    put(one, key())
    assert other.get(key()) == answer("a mug")
    assert build(redis_server.url).get(key()) is None


def test_its_user_needs_three_commands_only(build: Build, redis_server: RedisServer) -> None:
    prefix = f"{uuid4().hex}:"
    client: Any = redis_server.client
    client.execute_command(*("ACL", "SETUSER", "worker", "on", ">pa55", f"~{prefix}*", "+getrange", "+set", "+del"))
    cache = build(redis_server.url.replace("redis://", "redis://worker:pa55@"), key_prefix=prefix)
    put(cache, key())
    assert cache.get(key()) == answer("a mug")
    redis_server.client.set(prefix + key(), "forged")
    assert cache.get(key()) is None
    assert not redis_server.client.exists(prefix + key())


def test_the_last_answers_are_written_at_close(build: Build, redis_server: RedisServer) -> None:
    prefix = f"{uuid4().hex}:"
    leaving = build(redis_server.url, key_prefix=prefix)
    leaving.put(key(), answer())
    leaving.close()
    assert build(redis_server.url, key_prefix=prefix).get(key()) == answer()


def test_many_threads_read_and_write_at_once(build: Build, redis_server: RedisServer) -> None:
    cache = build(redis_server.url)
    wrong: list[object] = []

    def work(first: int) -> None:
        for number in range(first, first + 60):
            cache.put(key(number % 9), answer(str(number % 9)))
            if cache.get(key(number % 9)) != answer(str(number % 9)):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_tls_and_certificates_come_with_the_address(build: Build, tmp_path: Path) -> None:
    cache = build(f"rediss://user:pass@cache.example:6380/3?ssl_ca_certs={tmp_path}/ca.pem")
    connection: Any = cache._redis.connection_pool.make_connection()
    assert type(connection).__name__ == "SSLConnection"
    assert (connection.cert_reqs.name, connection.check_hostname, connection.db) == ("CERT_REQUIRED", True, 3)
