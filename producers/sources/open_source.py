"""Finds the source that an argument of the command line names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.columns import Columns
from sightstream.producers.sources.csv_file import CsvFile
from sightstream.producers.sources.folder import Folder
from sightstream.producers.sources.item import BulkSource
from sightstream.producers.sources.jsonl_file import JsonlFile
from sightstream.producers.sources.parquet_file import ParquetFile
from sightstream.producers.sources.s3_prefix import SCHEME, S3Prefix
from sightstream.producers.sources.text_encoding import check_encoding
from sightstream.schemas.connections.s3 import S3Settings

_TABLES: dict[str, Any] = {
    ".csv": CsvFile,
    ".tsv": CsvFile,
    ".jsonl": JsonlFile,
    ".ndjson": JsonlFile,
    ".parquet": ParquetFile,
}


def open_source(
    text: str, *, meaning: Columns, product_from: str, s3: Callable[[], S3Settings], encoding: str | None = None
) -> BulkSource:
    """Return the source for a directory, s3://bucket/prefix, or a table. Raises SourceError for others.

    `encoding` is that of a .csv, .tsv, .jsonl or .ndjson file; unset, it is found or UTF-8.
    """
    encoding = encoding and check_encoding(encoding)
    if text.startswith(SCHEME):
        return S3Prefix(text, s3(), product_from)
    path = Path(text)
    if path.is_dir():
        return Folder(path, product_from)
    kind = _TABLES.get(path.suffix.lower())
    if kind is None:
        raise SourceError(f"{text} is not a folder, .csv, .tsv, .jsonl or .parquet file, or s3://bucket/prefix")
    if not path.is_file():
        raise SourceError(f"there is no file {text}")
    return ParquetFile(path, meaning) if kind is ParquetFile else kind(path, meaning, encoding)
