"""Prints outcomes of a results file as a table for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sightstream.infra.answers.table import summaries
from sightstream.infra.cli import whole_columns
from sightstream.infra.cli.results_export import stored_answer

if TYPE_CHECKING:
    from sightstream.consumers.store.reader import Outcome, StoreReader

TEXT = "answer or reason"


def print_table(reader: StoreReader, found: Iterable[Outcome]) -> None:
    """Print a row for each outcome."""
    headers = ("product", "request", "status", TEXT, "at")
    whole_columns.print_table(headers, (_cells(reader, outcome) for outcome in found), folded=TEXT)


def _cells(reader: StoreReader, outcome: Outcome) -> tuple[str, ...]:
    row = {name: str(value) for name, value in outcome.row.items() if value}
    if outcome.status == "answered":
        text, at = _answers(reader, outcome), row["completed_at"]
    else:
        text, at = f"{row['reason']} ({row['stage']}): {row.get('detail', '')}", row["failed_at"]
    return row.get("product_id", "?"), row.get("request_id", "?"), outcome.status, text, at[:19]


def _answers(reader: StoreReader, outcome: Outcome) -> str:
    """Return the answer of version 1 as it is, those of version 2 by question, with their probabilities."""
    if outcome.row.get("schema_version", 1) == 1:
        return str(outcome.row["conclusion"] or outcome.row["summary"])
    values = (line for row in reader.answers(outcome) for line in summaries(stored_answer(row)))
    return ", ".join(f"{name}: {text}" for name, text in values)
