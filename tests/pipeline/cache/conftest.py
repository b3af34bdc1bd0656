from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.cache.redis_server import RedisServer


@pytest.fixture(scope="package")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests that leave it as it is, whatever they put into it."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One to break; it wants a password."""
    server = RedisServer(tmp_path_factory.mktemp("fragile"), "pa55")
    yield server
    server.kill()
