"""Finds the source that an argument of the command line names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.columns import Columns
from sightstream.producers.sources.csv_file import CsvFile
from sightstream.producers.sources.folder import Folder
from sightstream.producers.sources.item import BulkSource
from sightstream.producers.sources.jsonl_file import JsonlFile
from sightstream.producers.sources.s3_prefix import SCHEME, S3Prefix
from sightstream.schemas.connections.s3 import S3Settings


def open_source(text: str, *, meaning: Columns, product_from: str, s3: Callable[[], S3Settings]) -> BulkSource:
    """Return the source for a directory, s3://bucket/prefix, a .csv or a .jsonl file. Raises SourceError for others."""
    if text.startswith(SCHEME):
        return S3Prefix(text, s3(), product_from)
    path = Path(text)
    if path.is_dir():
        return Folder(path, product_from)
    tables: dict[str, Callable[[Path, Columns], BulkSource]]
    tables = {".csv": CsvFile, ".tsv": CsvFile, ".jsonl": JsonlFile, ".ndjson": JsonlFile}
    kind = tables.get(path.suffix.lower())
    if kind is None:
        raise SourceError(f"{text} is not a folder, .csv file, .jsonl file or s3://bucket/prefix")
    if not path.is_file():
        raise SourceError(f"there is no file {text}")
    return kind(path, meaning)
