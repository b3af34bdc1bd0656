"""`sightstream dead-letters`: lists dead letters, and redrives them: publishes their requests again."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
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
from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.consumers.redrive.kafka_topics import KafkaTopics
    from sightstream.consumers.redrive.redrive_pass import Plan
    from sightstream.consumers.redrive.survey import Grouping
    from sightstream.consumers.redrive.tally import Tally
    from sightstream.infra.cli.dead_letter_progress import ReadProgress
    from sightstream.schemas.wire.topics import TopicSettings

INTERRUPTED = 130

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
    with _opened() as (topics, names), read_progress(plain=as_json) as progress:
        survey = Survey(topics, names.dead_letters, wanted, states, progress)
        for each, state in islice(survey, limit or None):
            shown += 1
            if as_json:
                print(json.dumps(letter_document(each, state)))  # ASCII only, so that no terminal obeys it
            else:
                found.append((each, state))
    if found:
        print_table(found)
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
    with _opened() as (topics, names):
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
    with _opened() as (topics, names), read_progress(plain=as_json) as progress:
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


@app.command()
def redrive(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this option nothing is written.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Most requests per second; unset: no limit.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most requests that this run publishes again.")] = None,
    max_redrives: Annotated[
        int, typer.Option(min=1, help="Park a dead letter whose request has been redriven this often.")
    ] = 3,
    include_parked: Annotated[bool, typer.Option("--include-parked", help="Also redrive parked dead letters.")] = False,
    include_expired: Annotated[
        bool, typer.Option("--include-expired", help="Also redrive requests whose deadline has passed.")
    ] = False,
    reason: Reasons = None,
    stage: Stages = None,
    since: Since = None,
    until: Until = None,
    product: Product = None,
    request: Request = None,
    source: Sources = None,
    letter: Letters = None,
    as_json: AsJson = False,
) -> None:
    """Publish the requests of dead letters again: each at most once, however often this is run, killed or run twice.

    Without --yes it only says what it would do. A second redrive at the same time ends the first one.

    Exits 1 if a selected dead letter can't be redriven or another redrive has begun, and 130 if interrupted.
    """
    from sightstream.consumers.redrive.decision import Decision, Policy
    from sightstream.consumers.redrive.redrive_pass import Plan
    from sightstream.infra.cli.dead_letter_progress import read_progress
    from sightstream.infra.cli.dead_letter_report import tally_document, tally_text

    wanted = build_filter(reason, stage, since, until, product, request, source, letter)
    plan = Plan(wanted, Policy(max_redrives, include_parked, include_expired), limit)
    with _opened() as (topics, names), read_progress(plain=as_json) as progress:
        tally = _redrive(topics, names, plan, rate, progress) if yes else _preview(topics, names, plan, progress)
    print(json.dumps(tally_document(tally, not yes)) if as_json else tally_text(tally, not yes))
    if not yes and not as_json:
        print("This was a dry run. Add --yes to do it.")
    failed = yes and tally.count(Decision.KEEP_GONE) + tally.count(Decision.KEEP_REFUSED)
    raise typer.Exit(INTERRUPTED if tally.stopped else 1 if failed else 0)


def _preview(topics: KafkaTopics, names: TopicSettings, plan: Plan, progress: ReadProgress) -> Tally:
    from sightstream.consumers.redrive.job import preview

    return preview(topics, names, plan, progress)


def _redrive(
    topics: KafkaTopics, names: TopicSettings, plan: Plan, rate: float | None, progress: ReadProgress
) -> Tally:
    from sightstream.consumers.redrive.errors import RedriveError
    from sightstream.consumers.redrive.job import RedriveJob
    from sightstream.consumers.redrive.pace import Pace

    topics.check()
    with _stop_on_signals() as stop:
        job = RedriveJob(topics, names, plan, Pace(rate, sleep=stop.wait), stop.is_set, sleep=stop.wait)
        try:
            return job.run(progress)
        except RedriveError as error:
            raise CommandError(f"{error}{_so_far(progress)}") from error


def _so_far(progress: ReadProgress) -> str:
    from sightstream.consumers.redrive.decision import Decision

    done = progress.tally.count(Decision.REDRIVE) if progress.tally else 0
    return f" ({done} were redriven until then, and are marked)" if done else ""


@contextmanager
def _opened() -> Iterator[tuple[KafkaTopics, TopicSettings]]:
    """Open the topics that the settings name; what goes wrong with them ends the command with a message."""
    import logging

    from sightstream.consumers.kafka.types import KafkaReadError
    from sightstream.consumers.redrive.errors import RedriveError
    from sightstream.consumers.redrive.kafka_topics import KafkaTopics
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import load
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.wire.topics import TopicSettings

    log_to_stderr(logging.WARNING)
    names = load(TopicSettings)
    topics = KafkaTopics(load(KafkaSettings), names)
    try:
        yield topics, names
    except (RedriveError, KafkaReadError) as error:
        raise CommandError(str(error)) from error
    finally:
        topics.close()


@contextmanager
def _stop_on_signals() -> Iterator[Event]:
    """Let the first Ctrl-C or SIGTERM end the run after the current batch, and a second one end the process at once."""
    asked = Event()

    def ask(number: int, frame: object) -> None:
        asked.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
