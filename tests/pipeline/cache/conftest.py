"""Redis servers for the tests of the cache."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.cache.redis_server import RedisServer


@pytest.fixture(scope="package")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server shared by all tests that do not stop or reconfigure it."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of one test's own that it may break; it requires a password."""
    server = RedisServer(tmp_path_factory.mktemp("fragile"), "pa55")
    yield server
    server.kill()
