"""The settings of the cache: what they build, and that secrets stay secret."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from sightstream.pipeline.cache.build import build_result_cache
from sightstream.pipeline.cache.memory import MemoryCache
from sightstream.pipeline.cache.redis_cache import RedisCache
from sightstream.pipeline.cache.settings import CacheSettings

CANARY = "c4n4ry-secret"


def test_each_kind_builds_its_own_cache() -> None:
    assert isinstance(build_result_cache(CacheSettings()), MemoryCache)
    assert build_result_cache(CacheSettings(kind="none")) is None
    redis = build_result_cache(CacheSettings(kind="redis", url=SecretStr("redis://cache.example")))
    assert isinstance(redis, RedisCache)
    redis.close()


def test_the_url_is_read_from_the_environment_and_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTSTREAM_CACHE_KIND", "redis")
    monkeypatch.setenv("SIGHTSTREAM_CACHE_URL", f"rediss://user:{CANARY}@cache.example:6379/0")
    settings = CacheSettings()
    assert settings.url is not None
    assert CANARY in settings.url.get_secret_value()
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert CANARY not in text


@pytest.mark.parametrize(
    "url",
    [f"http://{CANARY}", CANARY, "", f"redis://{CANARY}:port", f"redis://:{CANARY}@h:99999", f"redis://[{CANARY}"],
)
def test_a_wrong_url_stops_the_start_and_is_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="write it as redis://") as caught:
        CacheSettings(kind="redis", url=SecretStr(url))
    details = caught.value.errors(include_input=False, include_url=False, include_context=False)
    assert CANARY not in str(details)


def test_redis_needs_a_url_and_a_signing_key_must_not_be_empty() -> None:
    with pytest.raises(ValidationError, match="SIGHTSTREAM_CACHE_URL"):
        CacheSettings(kind="redis")
    with pytest.raises(ValidationError, match="signs nothing"):
        CacheSettings(signing_key=SecretStr(" "))
