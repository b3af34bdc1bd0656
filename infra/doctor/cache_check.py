"""The shared cache of answers: workers go on without it, only slower, so nothing else says that it is away."""

from __future__ import annotations

from sightstream.infra.doctor.types import Fact, Finding, Items
from sightstream.pipeline.cache.settings import CacheSettings

TIMEOUT_S = 5.0


def check_cache(settings: CacheSettings) -> Items:
    """Ask Redis for a sign of life. Blocks."""
    if settings.kind != "redis" or settings.url is None:
        yield Fact("cache", settings.kind)
        return
    from redis import Redis, RedisError

    client = Redis.from_url(settings.url.get_secret_value(), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    try:
        client.ping()
        yield Fact("cache", "Redis answers")
    except (RedisError, OSError) as error:  # its text may hold the address, and with it the password
        yield Finding(
            "cache-unreachable",
            f"Redis does not answer ({type(error).__name__}); start it, or correct [cache] url and its password",
        )
    finally:
        client.close()
