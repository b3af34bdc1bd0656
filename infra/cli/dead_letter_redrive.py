"""`sightstream dead-letters redrive`: publishes the requests of dead letters again."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from sightstream.infra.cli.dead_letter_options import (
    AsJson,
    Letters,
    Product,
    Reasons,
    Request,
    Since,
    Sources,
    Stages,
    Until,
    build_filter,
)
from sightstream.infra.cli.dead_letter_topics import opened_topics
from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.consumers.redrive.kafka_topics import KafkaTopics
    from sightstream.consumers.redrive.redrive_pass import Plan
    from sightstream.consumers.redrive.tally import Tally
    from sightstream.infra.cli.dead_letter_progress import ReadProgress
    from sightstream.schemas.wire.topics import TopicSettings

INTERRUPTED = 130


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
    with opened_topics() as (topics, names), read_progress(as_json, "redriven" if yes else "selected") as progress:
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
