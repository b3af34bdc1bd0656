"""Reads a Parquet file: one request per row, with the columns of producers/sources/table.py.

A null and a NaN count as not given. Numbers, times (to the microsecond) and nested values become text; a whole number
is an id without a fraction. The index that pandas adds is passed over. Rows are read a few at a time, so memory holds
no more than pages of one row group.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.columns import OUR_NAMES, Columns, as_id
from sightstream.producers.sources.image_files import Skipped
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.table import check_columns, row_fields

ROWS_AT_ONCE = 500
_UNREADABLE = (ValueError, OverflowError, KeyError)  # bytes that are no text, times out of range or of no known zone
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


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
                columns = {at: name for at, name in enumerate(table.schema_arrow.names) if not _is_index(name)}
                check_columns(self._path, list(columns.values()), self._meaning)
                for number, row in enumerate(_rows(pyarrow, table, list(columns)), 1):
                    yield self._item(number, dict(zip(columns.values(), row, strict=True)))
        except (pyarrow.ArrowException, OSError) as error:
            raise SourceError(f"{self._path} can't be read as Parquet: {error}") from None

    def _item(self, number: int, row: Mapping[str, Any]) -> Item:
        location, raw = f"row {number}", repr(row).encode()
        try:
            cells = {name: self._text(name, value) for name, value in row.items() if not _is_missing(value)}
            return Item(location, raw, row_fields({name: cell for name, cell in cells.items() if cell}, self._meaning))
        except ValueError as error:
            return Item(location, raw, problem=str(error))

    def _text(self, name: str, value: object) -> str:
        return _text(name, as_id(value) if name in (self._meaning.product, "request_id") else value)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise SourceError('reading Parquet needs pyarrow: pip install "sightstream[parquet]"') from None
    return pyarrow, parquet


def _is_index(name: str) -> bool:
    return _PANDAS_INDEX.fullmatch(name) is not None


def _rows(pyarrow: Any, table: Any, columns: list[int]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of each row; one that Python can't hold is the error that it gave."""
    for batch in table.iter_batches(ROWS_AT_ONCE):
        yield from zip(*(_values(_in_microseconds(pyarrow, batch.column(at))) for at in columns), strict=True)


def _in_microseconds(pyarrow: Any, column: Any) -> Any:
    """Return a column of times without the digits that Python's own times can't hold."""
    kind = column.type
    if pyarrow.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pyarrow.timestamp("us", kind.tz), safe=False)
    if pyarrow.types.is_duration(kind) and kind.unit == "ns":
        return column.cast(pyarrow.duration("us"), safe=False)
    return column


def _values(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except _UNREADABLE:  # of one cell or more: the others stay
        return [_value(cell) for cell in column]


def _value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except _UNREADABLE as error:
        return error


def _is_missing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124 - NaN, as pandas writes what is missing


def _text(name: str, value: object) -> str:
    """Return a value as a cell of a CSV file would hold it. Raises ValueError for bytes and what could not be read."""
    if isinstance(value, Exception):
        raise ValueError(f"{name}: it can't be read: {value}")
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bytes):
        raise ValueError(f"{name}: it holds bytes, and an image is named by its address")
    if isinstance(value, date | time):
        return value.isoformat()
    is_of_json = isinstance(value, bool | int | float | list | tuple | dict)
    return json.dumps(value, ensure_ascii=False, default=str) if is_of_json else str(value)
