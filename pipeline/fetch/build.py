"""Settings to a fetcher."""

from __future__ import annotations

from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.http import HttpSource
from pipeline.fetch.local_file import FileSource
from pipeline.fetch.s3 import S3Source
from pipeline.fetch.settings import FetchSettings
from pipeline.fetch.source import Source
from schemas.s3 import S3Settings


def build_fetcher(settings: FetchSettings, s3: S3Settings) -> Fetcher:
    """A fetcher for s3://, http(s):// and, where roots are set, file://. Connects to nothing yet."""
    http = HttpSource(settings)
    sources: dict[str, Source] = {"s3": S3Source(settings, s3), "https": http, "http": http}
    if settings.file_roots:
        sources["file"] = FileSource(settings)
    return Fetcher(sources, settings)
