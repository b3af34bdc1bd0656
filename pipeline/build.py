"""Builds a running flow from settings: fetcher, decode children, engine process."""

from __future__ import annotations

from dataclasses import replace

from sightstream.pipeline.cache.build import build_answer_cache, build_result_cache
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.engine.build import EngineFactory, build_engine
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.image_limit import image_limit
from sightstream.pipeline.engine.image_processor import read_tiling
from sightstream.pipeline.engine.known_answer import CanaryRecords
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine_check import EngineCheck
from sightstream.pipeline.errors import Fatal
from sightstream.pipeline.fetch.build import build_fetcher
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.in_flight import CLOCKS
from sightstream.pipeline.settings import FlowSettings
from sightstream.schemas.connections.s3 import S3Settings


def build_flow(  # noqa: PLR0913 - the settings of each part
    flow: FlowSettings,
    fetch: FetchSettings,
    s3: S3Settings,
    decode: DecodeSettings,
    engine: EngineSettings,
    cache: CacheSettings | None = None,
    *,
    engine_factory: EngineFactory = build_engine,
    tiling: Tiling | None = None,
    records: CanaryRecords | None = None,
) -> Flow:
    """Return a running flow at once; the engine loads in its own process.

    Without `cache` no answer is kept; `records` keeps what the canary answered. Raises Fatal if the cache's URL is
    malformed, or the file with the canary's answer can't be read. A bad checkpoint is Fatal at the first `collect`.
    `tiling` is that of the model that `engine_factory` loads; unset, the checkpoint's.
    """
    result_cache = build_result_cache(cache) if cache else None
    tiling = tiling or _tiling(engine)
    decoder = Decoder(decode, tiling, flow.max_bytes)
    host = EngineHost(engine, engine_factory, memory=decoder.memory, records=records)
    answers = build_answer_cache(result_cache, cache, decode, engine, host) if cache and result_cache else None
    coalesce = cache is None or cache.coalesce_in_flight
    fetcher = build_fetcher(fetch, s3)
    return Flow(
        flow,
        fetcher,
        decoder,
        host,
        replace(CLOCKS, loaded_at=host.loaded_at),
        cache=answers,
        coalesce=coalesce,
        request_check=EngineCheck(image_limit(engine, tiling)),
    )


def _tiling(settings: EngineSettings) -> Tiling | None:
    """Return the tiling of an engine that gets canvases. A bad checkpoint has none: the slot engine reports it."""
    if settings.kind not in ("slots", "simulated") or settings.checkpoint is None:
        return None
    try:
        return read_tiling(settings.checkpoint)
    except Fatal:
        return None
