"""Reads a CSV file with a header row: one request per row.

Columns: `uri` and the product column (`product_id` unless another is named) are needed; `request_id`, `version_id`,
`sha256`, `question`, `deadline`, `max_tokens`, `temperature`, `top_p` and `seed` are optional; `attr.NAME` becomes the
attribute NAME. Any other column is an error. An empty cell counts as not given. UTF-8, with or without a byte order
mark; quotes after RFC 4180.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.image_files import Skipped
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.lines import LineError, Lines
from sightstream.producers.sources.requests import nested

ATTRIBUTE = "attr."
OPTIONS = frozenset({"max_tokens", "temperature", "top_p", "seed"})
COLUMNS = frozenset({"uri", "request_id", "version_id", "sha256", "question", "deadline"}) | OPTIONS


class CsvFile:
    """Holds one row in memory at a time. A malformed row becomes an item with a problem."""

    def __init__(self, path: Path, product_column: str = "product_id") -> None:
        self.location = path.resolve().as_uri()
        self.skipped = Skipped()
        self.size: int | None = path.stat().st_size
        self._path = path
        self._product_column = product_column

    def items(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            lines = Lines(file)
            rows = csv.reader(lines, strict=True)
            columns = self._header(rows)
            lines.skip()
            while (item := self._next(rows, lines, columns)) is not None:
                yield item

    def _header(self, rows: Iterator[list[str]]) -> list[str]:
        try:
            columns = [name.strip() for name in next(rows)]
        except (StopIteration, LineError, csv.Error) as error:
            raise SourceError(f"{self._path} has no header row that can be read {error}".strip()) from None
        known = COLUMNS | {self._product_column}
        unknown = [name for name in columns if name not in known and not name.startswith(ATTRIBUTE)]
        if unknown:
            raise SourceError(
                f"{self._path}: unknown columns {unknown}; known: {sorted(known)}. "
                f"Name a column {ATTRIBUTE}NAME to pass it on as an attribute"
            )
        missing = [name for name in ("uri", self._product_column) if name not in columns]
        if missing:
            raise SourceError(f"{self._path}: missing columns {missing}")
        if len(set(columns)) < len(columns):
            raise SourceError(f"{self._path}: a column occurs twice")
        return columns

    def _next(self, rows: Iterator[list[str]], lines: Lines, columns: list[str]) -> Item | None:
        fields: dict[str, Any] = {}
        problem: str | None = None
        try:
            row = next(rows)
            while not row:
                lines.skip()
                row = next(rows)
            fields = self._fields(columns, row)
        except StopIteration:
            return None
        except (LineError, csv.Error, ValueError) as error:
            problem = str(error)
        location, raw, size = lines.consumed()
        return Item(location, raw, fields, problem, size)

    def _fields(self, columns: list[str], row: list[str]) -> dict[str, Any]:
        if len(row) != len(columns):
            raise ValueError(f"{len(row)} cells under {len(columns)} columns")
        given = {name: cell for name, cell in zip(columns, row, strict=True) if cell != ""}
        fields: dict[str, Any] = {name: cell for name, cell in given.items() if name in COLUMNS - OPTIONS}
        fields["options"] = {name: cell for name, cell in given.items() if name in OPTIONS}
        attributes = {name: cell for name, cell in given.items() if name.startswith(ATTRIBUTE)}
        fields["attributes"] = {name.removeprefix(ATTRIBUTE): cell for name, cell in attributes.items()}
        fields["product_id"] = given.get(self._product_column, "")
        return nested(fields)
