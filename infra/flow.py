"""Builds a flow from the current settings."""

from __future__ import annotations

from pathlib import Path

from sightstream.infra.settings import SettingsError, load
from sightstream.pipeline.build import build_flow
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.known_answer import CanaryRecords
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.fetch.settings import FetchSettings, check_file_root
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.untraceable import forbid_tracing
from sightstream.schemas.connections.s3 import S3Settings


def start_flow(
    checkpoint: Path | None = None,
    file_root: Path | None = None,
    is_cached: bool = True,
    records: CanaryRecords | None = None,
) -> Flow:
    """Start a flow; `checkpoint` and `file_root` override the settings. Raises SettingsError and Fatal.

    `records` keeps the canary's answer over restarts.

    Unless `is_cached`, no answer is taken from the cache or kept in it.

    From then on no process of the same user can trace this one.
    """
    engine, fetch = load(EngineSettings), load(FetchSettings)
    if checkpoint is not None:
        engine = engine.model_copy(update={"checkpoint": checkpoint})
    if file_root is not None:
        try:
            check_file_root(file_root)
        except ValueError as error:
            raise SettingsError(f"{file_root}: {error}") from None
        fetch = fetch.model_copy(update={"file_roots": (*fetch.file_roots, file_root)})
    cache = load(CacheSettings) if is_cached else None
    settings = (load(FlowSettings), fetch, load(S3Settings), load(DecodeSettings), engine, cache)
    flow = build_flow(*settings, records=records)
    forbid_tracing()
    return flow
