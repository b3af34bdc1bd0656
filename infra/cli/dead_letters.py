"""`sightstream dead-letters`: lists dead letters, and redrives them: publishes their requests again."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sightstream.infra.cli.dead_letter_options import (
    AnyState,
    AsJson,
    Letters,
    Parked,
    Product,
    Reasons,
    Redriven,
    Request,
    Since,
    Sources,
    Stages,
    Until,
    build_filter,
    build_states,
)
from sightstream.infra.cli.dead_letter_redrive import redrive
from sightstream.infra.cli.dead_letter_topics import opened_topics
from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.consumers.redrive.survey import Grouping

app = typer.Typer(help="List dead letters, and redrive them: publish their requests again.", no_args_is_help=True)


@app.command("list")
def list_letters(
    *,
    reason: Reasons = None,
    stage: Stages = None,
    since: Since = None,
    until: Until = None,
    product: Product = None,
    request: Request = None,
    source: Sources = None,
    letter: Letters = None,
    parked: Parked = False,
    redriven: Redriven = False,
    any_state: AnyState = False,
    limit: Annotated[int, typer.Option(min=0, help="How many to show; 0 shows all.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """List dead letters that can still be redriven. Exits 1 if nothing matches.

    Those of one partition come in their order.
    """
    from itertools import islice

    from sightstream.consumers.redrive.survey import Survey
    from sightstream.infra.cli.dead_letter_display import letter_document, print_table
    from sightstream.infra.cli.dead_letter_progress import read_progress

    wanted = build_filter(reason, stage, since, until, product, request, source, letter)
    states = build_states(parked, redriven, any_state)
    found = []
    shown = 0
    with opened_topics() as (topics, names), read_progress(plain=as_json) as progress:
        survey = Survey(topics, names.dead_letters, wanted, states, progress)
        for each, state in islice(survey, limit or None):
            shown += 1
            if as_json:
                print(json.dumps(letter_document(each, state)))  # ASCII only, so that no terminal obeys it
            else:
                found.append((each, state))
    if found:
        print_table(found)
    if not shown:
        print("no dead letter matches", file=sys.stderr)
    raise typer.Exit(0 if shown else 1)


@app.command()
def show(
    letter: Annotated[str, typer.Argument(metavar="PARTITION/OFFSET", help="Coordinates of the dead letter.")],
    as_json: AsJson = False,
) -> None:
    """Show one dead letter: why it failed, what became of it, and its record. Exits 1 if it is not there."""
    from sightstream.consumers.redrive.filters import parse_range
    from sightstream.consumers.redrive.markers import State
    from sightstream.consumers.redrive.survey import find_letter, find_marker
    from sightstream.infra.cli.dead_letter_display import letter_text, whole_document

    try:
        at = parse_range(letter)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="PARTITION/OFFSET") from None
    if at.last != at.first or "/" not in letter:
        raise typer.BadParameter("name one letter: PARTITION/OFFSET", param_hint="PARTITION/OFFSET")
    with opened_topics() as (topics, names):
        found = find_letter(topics, at.partition, at.first)
        if found is None:
            raise CommandError(f"{names.dead_letters} has no dead letter at {at.partition}/{at.first}")
        marker = find_marker(topics, found.record.at)
    state = State(marker.state) if marker else State.OPEN
    if as_json:
        print(json.dumps(whole_document(found, state) | {"marker": marker and marker.model_dump(mode="json")}))
        return
    print(letter_text(found, state))
    if marker:
        print(f"{marker.state:<10}at {marker.at.isoformat()}, by run {marker.run}")


@app.command()
def count(
    *,
    by: Annotated[
        str, typer.Option(help="Count by reason, stage, state, product, partition, day or redrives.")
    ] = "reason",
    reason: Reasons = None,
    stage: Stages = None,
    since: Since = None,
    until: Until = None,
    product: Product = None,
    request: Request = None,
    source: Sources = None,
    letter: Letters = None,
    parked: Parked = False,
    redriven: Redriven = False,
    any_state: AnyState = False,
    as_json: AsJson = False,
) -> None:
    """Count dead letters that can still be redriven, and what else is on their topic. Exits 1 if nothing matches."""
    from collections import Counter

    from sightstream.consumers.redrive.survey import Survey, group_of
    from sightstream.infra.cli.dead_letter_progress import read_progress
    from sightstream.infra.cli.dead_letter_report import reading_document, reading_text
    from sightstream.schemas.wire.dead_letter import printable

    grouping = _grouping(by)
    wanted = build_filter(reason, stage, since, until, product, request, source, letter)
    states = build_states(parked, redriven, any_state)
    with opened_topics() as (topics, names), read_progress(plain=as_json) as progress:
        survey = Survey(topics, names.dead_letters, wanted, states, progress)
        counts = Counter(group_of(each, state, grouping) for each, state in survey)
    reading = survey.tally.reading
    if as_json:
        print(json.dumps({"total": counts.total(), f"by_{by}": dict(counts), "read": reading_document(reading)}))
    else:
        for name, number in counts.most_common():
            print(f"{number:>8} {printable(name)}")
        print(f"{counts.total():>8} in all\n{reading_text(reading)}")
    raise typer.Exit(0 if counts else 1)


def _grouping(by: str) -> Grouping:
    from sightstream.consumers.redrive.survey import Grouping

    try:
        return Grouping(by)
    except ValueError:
        raise typer.BadParameter(f"use one of {', '.join(Grouping)}", param_hint="--by") from None


app.command()(redrive)
