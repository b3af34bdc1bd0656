"""Reads a CSV file with a header row: one request per row.

Columns: `uri` and `product_id`, or those that are named in their place, are needed; `request_id`, `version_id`,
`sha256`, `question`, `deadline`, `max_tokens`, `temperature`, `top_p` and `seed` are optional; `attr.NAME` becomes the
attribute NAME. Any other column is an error, unless it is ignored by name or the rest become attributes. Spaces around
a cell don't count, an empty cell counts as not given, and a row of empty cells as none. UTF-8, with or without a byte
order mark; any line ends; quotes after RFC 4180. Cells end at commas, semicolons or tabs, as the header shows, or as a
first line `sep=;` says.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.columns import OUR_NAMES, Columns
from sightstream.producers.sources.image_files import Skipped
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.lines import LineError, Lines
from sightstream.producers.sources.requests import nested

ATTRIBUTE = "attr."
DELIMITERS = ",;\t"
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
OPTIONS = frozenset({"max_tokens", "temperature", "top_p", "seed"})
COLUMNS = frozenset({"uri", "request_id", "version_id", "sha256", "question", "deadline"}) | OPTIONS


class CsvFile:
    """Holds one row in memory at a time. A malformed row becomes an item with a problem."""

    def __init__(self, path: Path, meaning: Columns = OUR_NAMES) -> None:
        self.location = path.resolve().as_uri()
        self.skipped = Skipped()
        self.size: int | None = path.stat().st_size
        self._path = path
        self._meaning = meaning

    def items(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            lines, columns, delimiter = self._start(file)
            rows = csv.reader(lines, strict=True, delimiter=delimiter)
            while (item := self._next(rows, lines, columns)) is not None:
                yield item

    def _start(self, file: BinaryIO) -> tuple[Lines, list[str], str]:
        """Read the header, and return the rest of the file, the columns, and what stands between cells."""
        try:
            lines = Lines(file)
            first, delimiters = next(lines), DELIMITERS
            if stated := _SEPARATOR_LINE.fullmatch(first):
                first, delimiters = next(lines), stated[1]
            found = {each: next(csv.reader([first], strict=True, delimiter=each)) for each in delimiters}
        except (StopIteration, LineError, csv.Error, SourceError) as error:
            raise SourceError(f"{self._path} has no header row that can be read {error}".strip()) from None
        delimiter = max(found, key=lambda each: len(found[each]))
        columns = [name.strip() for name in found[delimiter]]
        self._check(columns)
        lines.skip()
        return lines, columns, delimiter

    def _check(self, columns: list[str]) -> None:
        columns = [name for name in columns if name]  # spreadsheets leave empty ones
        meaning = self._meaning
        needed = (meaning.image, meaning.product)
        known = (COLUMNS - {"uri"}) | {*needed, *meaning.ignored}
        missing = [name for name in needed if name not in columns]
        if missing:
            hint = meaning.hint(columns, known)
            raise SourceError(f"{self._path}: missing columns {missing}; there are {columns}{hint}")
        unknown = [name for name in columns if name not in known and not name.startswith(ATTRIBUTE)]
        if unknown and meaning.others == "refuse":
            raise SourceError(
                f"{self._path}: unknown columns {unknown}; known: {sorted(known)}. "
                f"Name a column {ATTRIBUTE}NAME to pass it on as an attribute, pass on all with --attributes rest, or "
                f"leave one out with --ignore-column NAME"
            )
        if len(set(columns)) < len(columns):
            raise SourceError(f"{self._path}: a column occurs twice")

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
        if "" in given:
            raise ValueError("a cell stands under a column without a name")
        given = self._meaning.renamed(given)
        fields: dict[str, Any] = {name: cell for name, cell in given.items() if name in COLUMNS - OPTIONS}
        fields["options"] = {name: cell for name, cell in given.items() if name in OPTIONS}
        ours = COLUMNS | {"product_id"}
        attributes = {name: cell for name, cell in given.items() if name not in ours}
        fields["attributes"] = {name.removeprefix(ATTRIBUTE): cell for name, cell in attributes.items()}
        fields["product_id"] = given.get("product_id", "")
        return nested(fields)
