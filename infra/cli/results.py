"""`sightstream results`: reads the results database."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.consumers.store.condition import Condition
    from sightstream.consumers.store.filter import Filter
    from sightstream.consumers.store.reader import Order, Outcome, StoreReader


DEFAULT_LIMIT = 20


def results(
    *,
    product: Annotated[str | None, typer.Option(help="Only this product.")] = None,
    request: Annotated[str | None, typer.Option(help="Only this request.")] = None,
    status: Annotated[
        Literal["answered", "dead"] | None, typer.Option(help="Only answers, or only dead letters.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only answers to this task's questions.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", help="Only answers with QUESTION.field=value; also != < <= > >=. May be repeated."),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Only results with a good answer of this probability to each question."),
    ] = None,
    least_sure: Annotated[
        int | None, typer.Option(min=1, help="Show this many results, those with the least sure answer first.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="How many to show, newest first; unset: 20 in a table, all with --json and --format."),
    ] = None,
    path: Annotated[Path | None, typer.Option("--path", help="Database file; the configured one by default.")] = None,
    output: Annotated[
        Literal["table", "csv", "jsonl"],
        typer.Option("--format", help="How to print: csv and jsonl have a column for each question and field."),
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="Print one whole JSON object per line.")] = False,
    count: Annotated[bool, typer.Option("--count", help="Print only how many there are.")] = False,
) -> None:
    """Show answers and dead letters. Exits 1 if nothing matches."""
    from sightstream.consumers.store.errors import StoreError
    from sightstream.consumers.store.filter import Filter
    from sightstream.consumers.store.reader import StoreReader
    from sightstream.consumers.store.settings import StoreSettings
    from sightstream.infra.settings import load

    if output != "table" and (as_json or count):
        raise typer.BadParameter("it has a form of its own; leave out --json and --count", param_hint="--format")
    if least_sure is not None and (limit is not None or count):
        raise typer.BadParameter(
            "it counts the results itself; leave out --limit and --count", param_hint="--least-sure"
        )
    names = {"--product": product, "--request": request, "--task": task}
    product, request, task = (_checked_text(option, text) for option, text in names.items())
    wanted = Filter(product, request, status, task, _conditions(where or []), min_confidence)
    view = View(output, as_json, limit if least_sure is None else least_sure, least_sure is not None)
    try:
        reader = StoreReader(path or load(StoreSettings).path)
        found = _show_counts(reader, wanted, as_json) if count else _show(reader, wanted, view)
        if not found:
            _name_the_questions(reader, wanted)
    except StoreError as error:
        raise CommandError(str(error)) from error
    raise typer.Exit(0 if found else 1)


@dataclass(frozen=True, slots=True)
class View:
    """How outcomes are printed, how many, and whether the least sure come first."""

    output: Literal["table", "csv", "jsonl"]
    as_json: bool
    limit: int | None
    least_sure: bool

    @property
    def order(self) -> Order:
        return "least_sure" if self.least_sure else "newest"


def _checked_text(option: str, text: str | None) -> str | None:
    """Return the text. One that is not UTF-8 can be in no database, and SQLite accepts none."""
    try:
        return text and text.encode().decode()
    except UnicodeEncodeError:
        raise typer.BadParameter("the text is not UTF-8", param_hint=option) from None


def _conditions(texts: list[str]) -> tuple[Condition, ...]:
    from sightstream.consumers.store.condition import parse_condition

    try:
        return tuple(parse_condition(_checked_text("--where", text) or "") for text in texts)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--where") from None


def _show_counts(reader: StoreReader, wanted: Filter, as_json: bool) -> bool:
    from dataclasses import asdict

    counts = asdict(reader.count(wanted))
    print(json.dumps(counts) if as_json else ", ".join(f"{number} {name}" for name, number in counts.items()))
    return any(counts.values())


def _show(reader: StoreReader, wanted: Filter, view: View) -> bool:
    from sightstream.infra.cli.results_export import print_csv, print_jsonl
    from sightstream.infra.cli.results_table import print_table

    if view.output != "table":
        return (print_csv if view.output == "csv" else print_jsonl)(reader, wanted, view.limit, view.order)
    if view.as_json:
        return _print_documents(reader.outcomes(wanted, view.limit, view.order))
    limit = view.limit or DEFAULT_LIMIT
    found = list(reader.outcomes(wanted, limit + 1, view.order))
    if found:
        print_table(reader, found[:limit])
    if view.limit is None and len(found) > limit:
        print(f"these are the newest {limit}; --limit shows more, --format csv and --json show all", file=sys.stderr)
    return bool(found)


def _print_documents(outcomes: Iterator[Outcome]) -> bool:
    found = False
    for outcome in outcomes:
        found = True
        print(json.dumps(as_document(outcome)))  # ASCII only, so that no terminal obeys a model's text
    return found


def _name_the_questions(reader: StoreReader, wanted: Filter) -> None:
    """Say so when a condition names a question that no result has."""
    known = reader.question_ids() if wanted.conditions else []
    for condition in wanted.conditions:
        if condition.question_id not in known:
            print(f"no result has a question {condition.question_id}; there are: {', '.join(known)}", file=sys.stderr)


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
