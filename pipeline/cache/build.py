"""Builds the answer cache from settings."""

from __future__ import annotations

import logging

from sightstream.pipeline.cache.answer_cache import AnswerCache
from sightstream.pipeline.cache.engine_identity import EngineIdentity, HasIdentity
from sightstream.pipeline.cache.etags import EtagMemory
from sightstream.pipeline.cache.memory import MemoryCache
from sightstream.pipeline.cache.protocol import ResultCache
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.cache.text_fingerprint import text_fingerprint
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.settings import EngineSettings

log = logging.getLogger(__name__)


def build_result_cache(settings: CacheSettings) -> ResultCache | None:
    """Return the store of answers, not connected yet, or None for kind "none". Raises Fatal if the URL is malformed."""
    if settings.kind == "none":
        return None
    if settings.kind == "redis":
        from sightstream.pipeline.cache.redis_cache import RedisCache

        return RedisCache(settings)
    return MemoryCache(settings.max_entries, settings.max_bytes, settings.ttl_s)


def build_answer_cache(
    cache: ResultCache, settings: CacheSettings, decode: DecodeSettings, engine: EngineSettings, model: HasIdentity
) -> AnswerCache:
    """Return the answer cache.

    It keeps nothing until the engine knows its model, nor if the checkpoint is unreadable.
    """
    try:
        fingerprint: str | None = text_fingerprint(engine, decode)
    except OSError as error:
        # The engine itself reports what is wrong with the folder.
        log.warning("no answers are kept: the checkpoint's files can't be read (%s)", type(error).__name__)
        fingerprint = None
    return AnswerCache(cache, EngineIdentity(model), fingerprint, EtagMemory(settings.max_etags))
