"""`sightstream results`: reads the results database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.consumers.store.reader import Filter, Outcome, StoreReader


def results(
    *,
    product: Annotated[str | None, typer.Option(help="Only this product.")] = None,
    request: Annotated[str | None, typer.Option(help="Only this request.")] = None,
    status: Annotated[
        Literal["answered", "dead"] | None, typer.Option(help="Only answers, or only dead letters.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, newest first.")] = 20,
    path: Annotated[Path | None, typer.Option("--path", help="Database file; the configured one by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    count: Annotated[bool, typer.Option("--count", help="Print only how many there are.")] = False,
) -> None:
    """Show answers and dead letters. Exits 1 if nothing matches."""
    from sightstream.consumers.store.errors import StoreError
    from sightstream.consumers.store.reader import Filter, StoreReader
    from sightstream.consumers.store.settings import StoreSettings
    from sightstream.infra.settings import load

    wanted = Filter(product, request, status)
    try:
        reader = StoreReader(path or load(StoreSettings).path)
        found = _show_counts(reader, wanted, as_json) if count else _show(reader, wanted, limit, as_json)
    except StoreError as error:
        raise CommandError(str(error)) from error
    raise typer.Exit(0 if found else 1)


def _show_counts(reader: StoreReader, wanted: Filter, as_json: bool) -> bool:
    from dataclasses import asdict

    counts = asdict(reader.count(wanted))
    print(json.dumps(counts) if as_json else ", ".join(f"{number} {name}" for name, number in counts.items()))
    return any(counts.values())


def _show(reader: StoreReader, wanted: Filter, limit: int, as_json: bool) -> bool:
    found = reader.outcomes(wanted, limit)
    if as_json:
        for outcome in found:
            print(json.dumps(as_document(outcome)))  # ASCII only, so that no terminal obeys a model's text
    elif found:
        _print_table(found)
    return bool(found)


def as_document(outcome: Outcome) -> dict[str, object]:
    """Return the document that `--json` prints: the record's position and the whole result or dead letter."""
    row = outcome.row
    document: dict[str, object] = {
        "status": outcome.status,
        "request_id": row["request_id"],
        "product_id": row["product_id"],
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
        "source": {name: row[f"source_{name}"] for name in ("topic", "partition", "offset")},
    }
    if outcome.status == "answered":
        return document | {"result": json.loads(str(row["record"]))}
    why = {name: row[name] for name in ("reason", "stage", "detail", "attempts", "failed_at")}
    return document | why | {"key_base64": _base64(row["key"]), "value_base64": _base64(row["value"])}


def _base64(value: object) -> str | None:
    import base64

    return base64.b64encode(value).decode() if isinstance(value, bytes) else None


def _print_table(found: list[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from sightstream.schemas.wire.dead_letter import printable

    table = Table("product", "request", "status", "answer or reason", "at")
    for outcome in found:
        cells = _cells(outcome)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console().print(table)


def _cells(outcome: Outcome) -> tuple[str, ...]:
    row = {name: str(value) for name, value in outcome.row.items() if value}
    if outcome.status == "answered":
        text, at = row.get("conclusion") or row.get("summary", ""), row["completed_at"]
    else:
        text, at = f"{row['reason']} ({row['stage']}): {row.get('detail', '')}", row["failed_at"]
    return row.get("product_id", "?"), row.get("request_id", "?"), outcome.status, text, at[:19]
