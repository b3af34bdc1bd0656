"""The bounds of the cache in memory."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.cache.memory import OVERHEAD_BYTES, MemoryCache
from sightstream.pipeline.metrics import CACHE_BYTES, CACHE_ENTRIES
from tests.pipeline.cache.strategies import answers
from tests.pipeline.samples import answer, key


def kept(cache: MemoryCache, count: int) -> list[int]:
    return [n for n in range(count) if cache.get(key(n)) is not None]


def test_the_least_recently_used_goes_first() -> None:
    cache = MemoryCache(max_entries=3, max_bytes=10**9, ttl_s=60)
    for number in range(3):
        cache.put(key(number), answer())
    cache.get(key(0))
    cache.put(key(3), answer())
    assert kept(cache, 4) == [0, 2, 3]
    assert CACHE_ENTRIES._value.get() == 3


EMPTY_BYTES = OVERHEAD_BYTES + len(answer("").model_dump_json(exclude_defaults=True))


def test_bytes_are_bounded() -> None:
    limit_bytes = 2 * EMPTY_BYTES + 2 * 50
    cache = MemoryCache(max_entries=100, max_bytes=limit_bytes, ttl_s=60)
    cache.put(key(0), answer("x" * 50))
    cache.put(key(1), answer("x" * 50))
    assert CACHE_BYTES._value.get() == limit_bytes
    cache.put(key(1), answer("x" * 50))
    assert kept(cache, 2) == [0, 1]
    cache.put(key(2), answer("x" * 51))
    assert kept(cache, 3) == [2]
    assert CACHE_BYTES._value.get() == EMPTY_BYTES + 51


def test_an_answer_that_never_fits_drops_only_its_own_older_version() -> None:
    cache = MemoryCache(max_entries=9, max_bytes=2 * EMPTY_BYTES, ttl_s=60)
    cache.put(key(0), answer(""))
    cache.put(key(1), answer(""))
    cache.put(key(1), answer("x" * (EMPTY_BYTES + 1)))
    assert kept(cache, 2) == [0]


@pytest.mark.parametrize("text", ["", "x" * 1000, "é" * 1000, "猫" * 1000, "\U0001f408" * 1000])
def test_no_entry_is_larger_than_estimated(text: str) -> None:
    cache = MemoryCache(max_entries=2, max_bytes=10**6, ttl_s=60)
    cache.put(key(), answer(text))
    assert cache.get(key()) == answer(text)
    entry = cache._entries[key()]
    parts = [entry, entry.data, entry.expires_at, key(), {key(): 1}]
    assert sum(map(sys.getsizeof, parts)) <= cache._bytes


@given(answers)
def test_everything_comes_back(one: CachedAnswer) -> None:
    cache = MemoryCache(max_entries=2, max_bytes=10**6, ttl_s=60)
    cache.put(key(), one)
    assert cache.get(key()) == one


def test_many_threads_at_once() -> None:
    cache = MemoryCache(max_entries=5, max_bytes=6 * EMPTY_BYTES, ttl_s=60)

    def work(first: int) -> None:
        for number in range(first, first + 300):
            cache.put(key(number % 11), answer(str(number % 11)))
            found = cache.get(key(number % 7))
            assert found in (None, answer(str(number % 7)))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept(cache, 11)) == 5
    assert cache._bytes == sum(entry.size_bytes for entry in cache._entries.values())
