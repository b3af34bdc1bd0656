"""Prints outcomes as CSV or as flat JSON lines, row by row as they are read."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from pydantic import JsonValue

from sightstream.infra.answers.columns import Column, FlatRow, column_names, flat_row, merged
from sightstream.infra.answers.values import AnswerParts, as_text
from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.consumers.store.filter import Filter
    from sightstream.consumers.store.reader import Columns, Order, Outcome, StoreReader

MAX_COLUMNS = 2000
# With one of these at its start, a text is a formula for a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline


def print_csv(reader: StoreReader, wanted: Filter, limit: int | None, order: Order) -> bool:
    """Print a header and a row for each outcome that matches. Returns whether there is any.

    Reads everything twice, the first time for the columns, as the file is at the start. Raises CommandError when there
    are more than 2,000 columns.
    """
    with reader.snapshot():
        columns = _columns(_flat_rows(reader, wanted, limit, order))
        if columns:
            _write_csv(_utf8_output(), columns, _flat_rows(reader, wanted, limit, order))
    return bool(columns)


def print_jsonl(reader: StoreReader, wanted: Filter, limit: int | None, order: Order) -> bool:
    """Print an object for each outcome that matches, in ASCII. Returns whether there is any."""
    found = False
    for row in _flat_rows(reader, wanted, limit, order):
        found = True
        names = column_names(tuple(row))
        print(json.dumps({names[column]: value for column, value in row.items()}))
    return found


def _flat_rows(reader: StoreReader, wanted: Filter, limit: int | None, order: Order) -> Iterator[FlatRow]:
    for outcome in reader.outcomes(wanted, limit, order):
        yield flat_row(_of_outcome(outcome), map(stored_answer, reader.answers(outcome)))


def _of_outcome(outcome: Outcome) -> dict[str, JsonValue]:
    row = outcome.row
    return {
        "product_id": _text(row["product_id"]),
        "request_id": _text(row["request_id"]),
        "status": outcome.status,
        "reason": _text(row.get("reason")),
        "at": _text(row.get("completed_at") or row.get("failed_at")),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def stored_answer(row: Columns) -> AnswerParts:
    """Return what is shown of an answer that stands in a results file."""
    value, fields, confidence = row["value"], row["confidence_fields"], row["confidence"]
    return AnswerParts(
        question_id=str(row["question_id"]),
        status=str(row["status"]),
        value=None if value is None else json.loads(str(value)),
        probability=None if confidence is None else float(confidence),
        fields={} if fields is None else json.loads(str(fields)),
    )


def _columns(rows: Iterable[FlatRow]) -> tuple[Column, ...]:
    found: dict[Column, None] = {}
    for row in rows:
        found |= dict.fromkeys(row)
        if len(found) > MAX_COLUMNS:
            raise CommandError(
                f"the answers have more than {MAX_COLUMNS:,} columns; use --format jsonl, or choose fewer"
            )
    return merged(found)


def _write_csv(out: TextIO, columns: tuple[Column, ...], rows: Iterable[FlatRow]) -> None:
    names = column_names(columns)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(names[column]) for column in columns])
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])


def _cell(value: JsonValue) -> str:
    """Return the text of a cell: a text that is a formula gets an apostrophe, and control characters are escaped."""
    text = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), as_text(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _utf8_output() -> TextIO:
    """Return standard output for UTF-8, whatever the locale is."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    return sys.stdout
