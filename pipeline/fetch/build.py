"""Builds the fetcher from the settings."""

from __future__ import annotations

from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.http.source import HttpSource
from sightstream.pipeline.fetch.image_source import ImageSource
from sightstream.pipeline.fetch.local_file import FileSource
from sightstream.pipeline.fetch.s3.source import S3Source
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.connections.s3 import S3Settings


def build_fetcher(settings: FetchSettings, s3: S3Settings) -> Fetcher:
    """Return a fetcher for s3://, http(s):// and, where roots are set, file://. Connects to nothing yet."""
    http = HttpSource(settings)
    sources: dict[str, ImageSource] = {"s3": S3Source(settings, s3), "https": http, "http": http}
    if settings.file_roots:
        sources["file"] = FileSource(settings)
    return Fetcher(sources, settings)
