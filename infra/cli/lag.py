"""`sightstream lag`: shows how far each consumer group is behind."""

from __future__ import annotations

import json
import logging
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from sightstream.consumers.lag.reader import LagReader
    from sightstream.consumers.lag.settings import LagSettings
    from sightstream.consumers.lag.types import GroupLag, PartitionLag

COLUMNS = ("partition", "records", "age", "owner", "empty in", "removed unread")


def lag(
    *,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Only this group, or groups such as 'shop-*'; may be repeated.")
    ] = None,
    partitions: Annotated[bool, typer.Option("--partitions", help="Show a line for each partition, too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Read repeatedly until stopped.")] = False,
    interval: Annotated[float, typer.Option(min=0.5, help="Seconds between two readings with --watch.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per reading.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve /metrics for Prometheus until stopped.")] = False,
) -> None:
    """Show lag in records and in seconds, when the queue will be empty, and with --partitions who owns which.

    Lag is counted against the last stable offset: a drained topic reads 0. A number with ~ is an estimate: more is
    left than one reading may count.
    """
    from confluent_kafka import KafkaException

    from sightstream.consumers.kafka.types import KafkaReadError
    from sightstream.consumers.lag.reader import open_lag_reader
    from sightstream.consumers.lag.settings import LagSettings
    from sightstream.consumers.worker.settings import WorkerSettings
    from sightstream.infra.kafka_problem import kafka_problem
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import load
    from sightstream.schemas.connections.kafka import KafkaSettings

    log_to_stderr(logging.INFO if serve else logging.CRITICAL)  # a table is no place for log lines
    settings = load(LagSettings)
    groups = _pipeline_groups()
    wanted = {name: groups.get(name, ()) for name in group} if group else dict.fromkeys(settings.group_ids, ()) | groups
    try:
        with open_lag_reader(load(KafkaSettings), settings, wanted, load(WorkerSettings).group_id) as reader:
            if serve:
                with _until_stopped():
                    _serve(reader, settings)
            elif watch:
                with _until_stopped():
                    _watch(reader, interval, partitions, as_json)
            else:
                _print(reader.read(), partitions, as_json)
    except (KafkaReadError, KafkaException) as error:
        raise CommandError(kafka_problem(error, load(KafkaSettings))) from error


def _pipeline_groups() -> dict[str, tuple[str, ...]]:
    """Return the groups as their own commands name them, with their topics."""
    from sightstream.consumers.lag.reader import pipeline_groups
    from sightstream.consumers.lookup.settings import LookupSettings
    from sightstream.consumers.store.settings import StoreSettings
    from sightstream.consumers.worker.settings import WorkerSettings
    from sightstream.infra.settings import load
    from sightstream.schemas.wire.topics import TopicSettings

    worker, store, lookup = load(WorkerSettings), load(StoreSettings), load(LookupSettings)
    return pipeline_groups(worker.group_id, store.group_id, lookup.group_id, load(TopicSettings))


@contextmanager
def _until_stopped() -> Iterator[None]:
    """Leave the block on SIGTERM as on Ctrl-C. A reading changes nothing, so it can be interrupted at any moment."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        yield


def _serve(reader: LagReader, settings: LagSettings) -> None:
    from prometheus_client import REGISTRY

    from sightstream.consumers.lag.exporter import LagCollector, keep_reading
    from sightstream.consumers.metrics_server import MetricsPortInUse, serve_metrics
    from sightstream.consumers.probes import LoopHealth

    access, port = settings.access, settings.metrics_port
    health = LoopHealth(10 * (settings.interval_s + settings.read_timeout_s), "reachable")
    collector = LagCollector(settings.cluster_name)
    REGISTRY.register(collector)
    try:
        with serve_metrics(port, access=access, health=health):
            print(f"{access.url(port)}/metrics", flush=True)
            keep_reading(reader, collector, settings.interval_s, threading.Event(), health.turned)
    except MetricsPortInUse as error:
        raise CommandError(str(error)) from error
    finally:
        REGISTRY.unregister(collector)


def _watch(reader: LagReader, interval: float, partitions: bool, as_json: bool) -> None:
    from rich.live import Live

    pause = threading.Event()
    if as_json:
        while True:
            _print(reader.read(), partitions, as_json)
            pause.wait(interval)
    with Live(as_table(reader.read(), partitions), auto_refresh=False) as live:
        while not pause.wait(interval):
            live.update(as_table(reader.read(), partitions), refresh=True)


def _print(groups: Sequence[GroupLag], partitions: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(as_document(groups)), flush=True)
        return
    from rich.console import Console

    Console().print(as_table(groups, partitions))


def as_document(groups: Sequence[GroupLag]) -> dict[str, object]:
    """Return the document that `--json` prints."""
    from dataclasses import asdict

    return {
        "groups": [
            {
                "group": group.group,
                "records": group.records,
                "estimated": group.estimated,
                "seconds": group.seconds,
                "queue_empty_seconds": group.queue_empty_seconds,
                "arrivals_per_s": group.arrivals_per_s,
                "completions_per_s": group.completions_per_s,
                "gpu_seconds": group.gpu_seconds,
                "members": [asdict(member) for member in group.members],
                "partitions": [asdict(partition) for partition in group.partitions],
            }
            for group in groups
        ]
    }


def as_table(groups: Sequence[GroupLag], partitions: bool = False) -> RenderableType:
    """Return a table with a line for each group and, if asked, one below it for each of its partitions.

    A column that would be empty is left out: terminals are narrow.
    """
    from rich.table import Table
    from rich.text import Text

    from sightstream.schemas.wire.dead_letter import printable

    is_removed = any(part.removed_before_read for group in groups for part in group.partitions)
    hidden = {"partition": not partitions, "removed unread": not is_removed}
    headers = ("group, topic" if partitions else "group", *COLUMNS)
    shown = [at for at, header in enumerate(headers) if not hidden.get(header)]
    rows: list[tuple[tuple[str, ...], str | None]] = []
    for group in groups:
        rows.append((_group_cells(group), "bold"))
        rows.extend((_partition_cells(part), None) for part in group.partitions if partitions)
    table = Table(*(headers[at] for at in shown))
    table.columns[0].no_wrap, table.columns[0].min_width = True, max((len(cells[0]) for cells, _ in rows), default=None)
    for cells, style in rows:
        table.add_row(*(Text(printable(cells[at])) for at in shown), style=style)
    return table


def _group_cells(group: GroupLag) -> tuple[str, ...]:
    records = _records(group.records, estimated=group.estimated)
    removed = str(sum(part.removed_before_read for part in group.partitions) or "")
    facts, empty_in = _group_facts(group), _seconds(group.queue_empty_seconds)
    return (group.group, "", records, _seconds(group.seconds), facts, empty_in, removed)


def _partition_cells(part: PartitionLag) -> tuple[str, ...]:
    owner = f"{part.owner.client_id} {part.owner.host}" if part.owner else "nobody"
    records = _records(part.records, estimated=part.estimated)
    cells = ("  " + part.topic, str(part.partition), records, _seconds(part.seconds), owner)
    return (*cells, "", str(part.removed_before_read or ""))


def _records(records: int, *, estimated: bool) -> str:
    return f"~{records}" if estimated else str(records)


def _group_facts(group: GroupLag) -> str:
    facts = [f"{len(group.members)} member{'' if len(group.members) == 1 else 's'}"]
    if group.arrivals_per_s is not None and group.completions_per_s is not None:
        facts.append(f"{group.arrivals_per_s:,.1f}/s in, {group.completions_per_s:,.1f}/s done")
    if group.gpu_seconds:
        facts.append(f"{group.gpu_seconds:,.0f} GPU s")
    return ", ".join(facts)


def _seconds(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:,.1f} s"
