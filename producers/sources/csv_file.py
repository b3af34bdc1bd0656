"""Reads a CSV file with a header row: one request per row.

Its columns are those of producers/sources/table.py. Spaces around a cell don't count, an empty cell counts as not
given, and a row of empty cells as none, before the header too. With or without a byte order mark; any line ends; quotes
after RFC 4180. Cells end at commas, semicolons, tabs or bars, as the header shows, or as a first line `sep=;` says.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.columns import OUR_NAMES, Columns
from sightstream.producers.sources.image_files import Skipped
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.lines import LineError, Lines
from sightstream.producers.sources.table import check_columns, row_fields

DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"""("?)sep=(.)\1\s*""", re.IGNORECASE)


class CsvFile:
    """Holds one row in memory at a time. A malformed row becomes an item with a problem."""

    def __init__(self, path: Path, meaning: Columns = OUR_NAMES, encoding: str | None = None) -> None:
        self.location = path.resolve().as_uri()
        self.skipped = Skipped()
        self.size: int | None = path.stat().st_size
        self._path = path
        self._meaning, self._encoding = meaning, encoding

    def items(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            lines, columns, delimiter = self._start(file)
            rows = csv.reader(lines, strict=True, delimiter=delimiter)
            while (item := self._next(rows, lines, columns)) is not None:
                yield item

    def _start(self, file: BufferedReader) -> tuple[Lines, list[str], str]:
        """Read the header, and return the rest of the file, the columns, and what stands between cells."""
        try:
            lines = Lines(file, self._encoding)
            first, delimiter = _first_line(lines), None
            if stated := _SEPARATOR_LINE.fullmatch(first):
                first, delimiter = _first_line(lines), stated[2]
            delimiter = delimiter or self._delimiter(first)
            columns = _names(next(csv.reader(chain([first], lines), strict=True, delimiter=delimiter)))
        except (StopIteration, LineError, csv.Error, SourceError) as error:
            raise SourceError(f"{self._path} has no header row that can be read: {error}".rstrip(": ")) from None
        check_columns(self._path, columns, self._meaning)
        lines.skip()
        return lines, columns, delimiter

    def _delimiter(self, header: str) -> str:
        """Return what shows the columns that are needed, or else the most columns."""
        needed = {self._meaning.image, self._meaning.product}

        def columns(delimiter: str) -> tuple[int, int]:
            names = _names(next(csv.reader([header], delimiter=delimiter)))  # other delimiters may break its quotes
            return len(needed.intersection(names)), len(names)

        return max(DELIMITERS, key=columns)

    def _next(self, rows: Iterator[list[str]], lines: Lines, columns: list[str]) -> Item | None:
        fields: dict[str, Any] = {}
        problem: str | None = None
        try:
            row = next(rows)
            while not any(cell.strip() for cell in row):
                lines.skip()
                row = next(rows)
            fields = self._fields(columns, row)
        except StopIteration:
            return None
        except (LineError, csv.Error) as error:
            # The rows that an open quote has swallowed are read again, without it.
            swallowed = lines.back_to_first()
            problem = f"a quote that opens here is not closed as it should be ({error})" if swallowed else str(error)
        except ValueError as error:
            problem = str(error)
        location, raw, size = lines.consumed()
        return Item(location, raw, fields, problem, size)

    def _fields(self, columns: list[str], row: list[str]) -> dict[str, Any]:
        if len(row) != len(columns):
            raise ValueError(f"{len(row)} cells under {len(columns)} columns")
        given = {name: cell.strip() for name, cell in zip(columns, row, strict=True) if cell.strip()}
        if "" in given and "" not in self._meaning.ignored:
            raise ValueError("a cell stands under a column without a name; to leave it out: --ignore-column ''")
        return row_fields(given, self._meaning)


def _first_line(lines: Lines) -> str:
    """Return the next line that has more than blanks and delimiters. Raises StopIteration, LineError, SourceError."""
    while not (line := next(lines)).strip(f"{DELIMITERS} \r\n"):
        lines.skip()
    return line


def _names(cells: list[str]) -> list[str]:
    return [name.strip() for name in cells]
