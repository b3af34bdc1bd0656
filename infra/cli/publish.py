"""`sightstream publish`: publishes each entry of a source to the request topic once."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.infra.cli.publish_display import Display
    from sightstream.producers.job import PublishJob
    from sightstream.producers.request_template import RequestTemplate
    from sightstream.producers.settings import PublisherSettings
    from sightstream.producers.sources.columns import Columns
    from sightstream.producers.sources.image_files import Skipped
    from sightstream.producers.sources.item import BulkSource
    from sightstream.schemas.wire.topics import TopicSettings

INTERRUPTED = 130
PREVIEWED = 5
QUESTION = "What is shown in this image?"  # the default of [publish]; reading it there would cost the help 0.2 s


def publish(
    source: Annotated[
        str, typer.Argument(help="A .csv, .tsv, .jsonl or .parquet file, a folder of images, or s3://bucket/prefix.")
    ],
    *,
    question: Annotated[
        str | None, typer.Option(help=f"Question for entries that have none; unset: that of [publish], {QUESTION!r}")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Task file (.toml), or name of a ready task, that says all that is asked.")
    ] = None,
    product_column: Annotated[str, typer.Option(help="Tables: column that holds the product id.")] = "product_id",
    image_column: Annotated[str, typer.Option(help="Tables: column that holds the address of the image.")] = "uri",
    attributes: Annotated[
        Literal["named", "rest"],
        typer.Option(help="Tables: columns to pass on as attributes: those named attr.NAME, or all the rest."),
    ] = "named",
    ignore_column: Annotated[
        list[str] | None, typer.Option(help="Tables: a column to leave out; may be given several times.")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="CSV and JSONL: encoding, such as cp1252; unset: UTF-8, or UTF-16 where the file shows it."),
    ] = None,
    product_from: Annotated[
        str,
        typer.Option(
            help="Folder and S3: the part of the path that is the product id: parent (the folder's name), stem (the "
            "file's name without suffix), or the number of a segment (0 is the first, -1 the file)."
        ),
    ] = "parent",
    topic: Annotated[
        str | None, typer.Option(help="Topic to publish to instead of the configured request topic.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum tokens of an answer, for entries without it.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature, for entries without it.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus sampling, for entries without it.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampling, for entries without it.")] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume/--no-resume", help="Continue where the last run stopped, or publish everything again."),
    ] = True,
    failed_only: Annotated[
        bool,
        typer.Option(
            "--failed-only",
            help="Publish only the entries whose request is not on the topic yet, such as those that failed and were "
            "corrected since; name those whose request became a dead letter. Reads the topics.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the first five requests as they would be, and publish nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Publish one request per entry of a file, a folder or an S3 prefix.

    After an interruption, run the command again: nothing is published twice.

    Files of a folder or a prefix that are no images by their ending, or by their first bytes where they have none, are
    skipped, counted and named.

    Exits 0 if everything was delivered, 1 if something failed or there was nothing to publish, 2 on wrong use and 130
    if interrupted.
    """
    from sightstream.infra.cli.publish_display import choose_display
    from sightstream.infra.settings import load
    from sightstream.producers.settings import PublisherSettings
    from sightstream.producers.sources.columns import Columns
    from sightstream.schemas.wire.topics import TopicSettings

    if failed_only and not resume:
        raise typer.BadParameter("it publishes everything again; leave out one of the two", param_hint="--no-resume")
    settings, topics = load(PublisherSettings), load(TopicSettings)
    topics = topics.model_copy(update={"requests": topic or topics.requests})
    others: Literal["refuse", "attributes"] = "attributes" if attributes == "rest" else "refuse"
    columns = Columns(product_column, image_column, others, tuple(ignore_column or ()))
    options = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
    template = (
        _template(question or settings.question, options, columns, product_from)
        if task is None
        else _task_template(task, {"question": question, **options}, columns, product_from)
    )
    found = _open(source, template, encoding)
    display = choose_display(found.size, plain=as_json or not sys.stderr.isatty())
    _check_workers_read(Path(source), display)
    if dry_run:
        raise typer.Exit(_preview(found, template, settings, display))
    with _stop_on_signals(display) as asked_to_stop, display:
        job = _job(found, template, topics, settings, display, asked_to_stop)
        work = partial(_run_unpublished, job, topics, display) if failed_only else partial(job.run, resume=resume)
        interrupted = _run(work, display)
    _report(display, source, topics.requests, as_json, found.skipped)
    is_empty = not display.progress.position
    if is_empty and not interrupted:
        display.say(f"there is nothing to publish in {source}")
    raise typer.Exit(INTERRUPTED if interrupted else 1 if display.progress.failed or is_empty else 0)


def _template(question: str, options: dict[str, float | None], columns: Columns, product_from: str) -> RequestTemplate:
    from pydantic import ValidationError

    from sightstream.producers.request_template import RequestTemplate
    from sightstream.schemas.wire.options import AnalysisOptions

    try:
        given = AnalysisOptions.model_validate({name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise typer.BadParameter(first["msg"], param_hint="--" + str(first["loc"][0]).replace("_", "-")) from None
    return RequestTemplate(question, given, columns, product_from)


def _task_template(name: str, of_the_task: dict[str, object], columns: Columns, product_from: str) -> RequestTemplate:
    """Return the template of a task. Nothing of what a task says may be given beside it."""
    from sightstream.infra.cli.task import load_task
    from sightstream.infra.cli.task_request import refuse_beside_task
    from sightstream.producers.request_template import RequestTemplate

    refuse_beside_task(of_the_task)
    return RequestTemplate(None, columns=columns, product_from=product_from, task=load_task(name))


def _open(source: str, template: RequestTemplate, encoding: str | None) -> BulkSource:
    from sightstream.infra.settings import load
    from sightstream.producers.errors import SourceError
    from sightstream.producers.sources.open_source import open_source
    from sightstream.schemas.connections.s3 import S3Settings

    try:
        return open_source(
            source,
            meaning=template.columns,
            product_from=template.product_from,
            s3=lambda: load(S3Settings),
            encoding=encoding,
        )
    except SourceError as error:
        raise typer.BadParameter(str(error), param_hint="SOURCE") from None


def _check_workers_read(folder: Path, display: Display) -> None:
    """Refuse a folder that is outside of `file_roots` where they are known here; else say what workers need."""
    from sightstream.infra.settings import load
    from sightstream.pipeline.fetch.settings import FetchSettings

    if not folder.is_dir():
        return
    path, roots = folder.resolve(), [root.resolve() for root in load(FetchSettings).file_roots]
    if not roots:
        display.say(f"workers read files only below [fetch] file_roots; is {path} below one of theirs?")
    elif not any(path.is_relative_to(root) for root in roots):
        listed = ", ".join(map(str, roots))
        raise typer.BadParameter(f"no worker may read {path}: [fetch] file_roots has {listed}", param_hint="SOURCE")


def _preview(source: BulkSource, template: RequestTemplate, settings: PublisherSettings, display: Display) -> int:
    """Print the first requests, and return the exit code."""
    from sightstream.producers.batches import Batcher
    from sightstream.producers.errors import BadItem, PublishError

    batcher, code = Batcher(template, settings, display), 0
    try:
        for item in islice(source.items(), PREVIEWED):
            try:
                print(batcher.encode(item).value.decode())
            except BadItem as error:
                display.on_bad_item(str(error))
                code = 1
    except PublishError as error:
        raise CommandError(str(error)) from None
    return code


@contextmanager
def _stop_on_signals(display: Display) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C or SIGTERM end the run after the current batch, and a second one end the process at once."""
    asked = Event()

    def ask(number: int, frame: object) -> None:
        asked.set()
        signal.signal(number, signal.SIG_DFL)
        display.say("stopping after this batch; a second Ctrl-C stops at once, which is safe too")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _job(
    source: BulkSource,
    template: RequestTemplate,
    topics: TopicSettings,
    settings: PublisherSettings,
    display: Display,
    asked_to_stop: Callable[[], bool],
) -> PublishJob:
    from sightstream.infra.settings import load
    from sightstream.producers.batches import Batcher
    from sightstream.producers.errors import PublishError
    from sightstream.producers.job import PublishJob, RetryPolicy
    from sightstream.producers.request_template import job_name
    from sightstream.producers.topic_check import check_topic
    from sightstream.producers.transactional_sink import TransactionalSink
    from sightstream.schemas.connections.kafka import KafkaSettings

    kafka = load(KafkaSettings)
    try:
        check_topic(kafka, topics, settings.connect_timeout_s)
    except PublishError as error:
        raise CommandError(str(error)) from None
    sink = TransactionalSink(kafka, settings, topics.requests, job_name(source, topics.requests, template))
    batcher = Batcher(template, settings, display)
    retry_policy = RetryPolicy(settings.recovery_timeout_s, asked_to_stop=asked_to_stop)
    return PublishJob(source, batcher, sink, display, retry_policy)


def _run(work: Callable[[], object], display: Display) -> bool:
    """Run the job; True if it was asked to stop before the end."""
    from sightstream.producers.errors import PublishError, Stopped

    try:
        work()
    except Stopped:
        return True
    except PublishError as error:
        raise CommandError(f"{error} ({display.summary()})") from None
    return False


def _run_unpublished(job: PublishJob, topics: TopicSettings, display: Display) -> None:
    from sightstream.consumers.kafka.types import KafkaReadError
    from sightstream.consumers.redrive.errors import RedriveError
    from sightstream.infra.cli.published_requests import published_requests
    from sightstream.infra.settings import load
    from sightstream.producers.progress import Progress
    from sightstream.schemas.connections.kafka import KafkaSettings

    display.say("reading which requests are on the topic")
    try:
        found = job.run_unpublished(partial(published_requests, load(KafkaSettings), topics))
    except (KafkaReadError, RedriveError) as error:
        raise CommandError(f"which requests are published can't be read: {error}") from None
    display.before = Progress(delivered=found)


def _report(display: Display, source: str, topic: str, as_json: bool, skipped: Skipped) -> None:
    from sightstream.schemas.wire.dead_letter import printable

    if skipped.counts:
        display.say(printable(f"skipped: {skipped}"))
    if not as_json:
        print(f"{topic}: {display.summary()}")
        return
    now, before = display.progress, display.before
    counts = {"delivered": now.delivered, "failed": now.failed}
    earlier = {"delivered_earlier": before.delivered, "failed_earlier": before.failed}
    print(json.dumps({"source": source, "topic": topic, **counts, **earlier, "skipped": skipped.counts}))
