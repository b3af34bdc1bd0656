"""Settings to a running flow: fetcher, decode children, engine process."""

from __future__ import annotations

from sightstream.pipeline.cache.build import build_answers, build_cache
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.image_processor import read_tiling
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal
from sightstream.pipeline.fetch.build import build_fetcher
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.settings import FlowSettings
from sightstream.schemas.connections.s3 import S3Settings


def build_flow(
    flow: FlowSettings,
    fetch: FetchSettings,
    s3: S3Settings,
    decode: DecodeSettings,
    engine: EngineSettings,
    cache: CacheSettings | None = None,
) -> Flow:
    """Returns at once; the engine loads in its own process. A bad checkpoint is Fatal at the first `collect`.

    Without `cache` no answer is kept. Raises Fatal when its address can't be meant.
    """
    kept = build_cache(cache) if cache else None
    decoder = Decoder(decode, _tiling(engine), flow.max_bytes)
    host = EngineHost(engine, memory=decoder.memory)
    answers = build_answers(kept, cache, decode, engine, host) if cache and kept else None
    coalesce = cache is None or cache.coalesce_in_flight
    return Flow(flow, build_fetcher(fetch, s3), decoder, host, answers=answers, coalesce=coalesce)


def _tiling(settings: EngineSettings) -> Tiling | None:
    """For an engine that wants images laid out. A bad checkpoint has none; the engine itself says what is wrong."""
    if settings.kind != "slots" or settings.checkpoint is None:
        return None
    try:
        return read_tiling(settings.checkpoint)
    except Fatal:
        return None
