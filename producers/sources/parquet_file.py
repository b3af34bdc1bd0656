"""Reads a Parquet file: one request per row, with the columns of producers/sources/table.py.

A null and a NaN count as not given. Numbers, times and nested values become text. Rows are read a few at a time, so
memory holds no more than pages of one row group.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.columns import OUR_NAMES, Columns
from sightstream.producers.sources.image_files import Skipped
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.table import check_columns, row_fields

ROWS_AT_ONCE = 500


class ParquetFile:
    """Needs pyarrow: the extra `parquet`."""

    def __init__(self, path: Path, meaning: Columns = OUR_NAMES) -> None:
        self.location = path.resolve().as_uri()
        self.skipped = Skipped()
        self.size: int | None = None
        self._path, self._meaning = path, meaning

    def items(self) -> Iterator[Item]:
        pyarrow, parquet = _pyarrow()
        try:
            with parquet.ParquetFile(self._path) as table:
                check_columns(self._path, table.schema_arrow.names, self._meaning)
                rows = (row for batch in table.iter_batches(ROWS_AT_ONCE) for row in batch.to_pylist())
                for number, row in enumerate(rows, 1):
                    yield self._item(number, row)
        except (pyarrow.ArrowException, OSError) as error:
            raise SourceError(f"{self._path} can't be read as Parquet: {error}") from None

    def _item(self, number: int, row: Mapping[str, Any]) -> Item:
        location, raw = f"row {number}", repr(row).encode()
        try:
            cells = {name: _text(name, value) for name, value in row.items() if not _is_missing(value)}
            return Item(location, raw, row_fields({name: cell for name, cell in cells.items() if cell}, self._meaning))
        except ValueError as error:
            return Item(location, raw, problem=str(error))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise SourceError('reading Parquet needs pyarrow: pip install "sightstream[parquet]"') from None
    return pyarrow, parquet


def _is_missing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124 - NaN, as pandas writes what is missing


def _text(name: str, value: object) -> str:
    """Return a value as a cell of a CSV file would hold it. Raises ValueError for bytes."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bytes):
        raise ValueError(f"{name}: it holds bytes, and an image is named by its address")
    if isinstance(value, date | time):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str)
