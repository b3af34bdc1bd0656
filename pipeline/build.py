"""Settings to a running flow: fetcher, decode children, engine process."""

from __future__ import annotations

from pipeline.decode.decoder import Decoder
from pipeline.decode.settings import DecodeSettings
from pipeline.decode.tiling import Tiling, read_tiling
from pipeline.engine.host import EngineHost
from pipeline.engine.settings import EngineSettings
from pipeline.errors import Fatal
from pipeline.fetch.fetcher import Fetcher, Source
from pipeline.fetch.http import HttpSource
from pipeline.fetch.local_file import FileSource
from pipeline.fetch.s3 import S3Source
from pipeline.fetch.settings import FetchSettings
from pipeline.flow import Flow
from pipeline.settings import FlowSettings
from schemas.s3 import S3Settings


def build_flow(
    flow: FlowSettings, fetch: FetchSettings, s3: S3Settings, decode: DecodeSettings, engine: EngineSettings
) -> Flow:
    """Returns at once; the engine loads in its own process. A bad checkpoint is Fatal at the first `collect`."""
    decoder = Decoder(decode, _tiling(engine), flow.max_bytes)
    return Flow(flow, build_fetcher(fetch, s3), decoder, EngineHost(engine, memory=decoder.memory))


def _tiling(settings: EngineSettings) -> Tiling | None:
    """For an engine that wants images laid out. A bad checkpoint has none; the engine itself says what is wrong."""
    if settings.kind != "slots" or settings.checkpoint is None:
        return None
    try:
        return read_tiling(settings.checkpoint)
    except Fatal:
        return None


def build_fetcher(settings: FetchSettings, s3: S3Settings) -> Fetcher:
    """A fetcher for s3://, http(s):// and, where roots are set, file://."""
    http = HttpSource(settings)
    sources: dict[str, Source] = {"s3": S3Source(settings, s3), "https": http, "http": http}
    if settings.file_roots:
        sources["file"] = FileSource(settings.file_roots)
    return Fetcher(sources, settings)
