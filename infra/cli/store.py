"""`sightstream store`: writes every result and dead letter into the results database."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from sightstream.infra.errors import CommandError, explain_kafka_error


def store(
    path: Annotated[Path | None, typer.Option("--path", help="Database file; the configured one by default.")] = None,
    until_idle: Annotated[
        float | None,
        typer.Option(min=0, help="Exit once nothing new has arrived on either topic for this many seconds."),
    ] = None,
) -> None:
    """Write results and dead letters into a database, one row per record, until stopped."""
    import sqlite3

    from confluent_kafka import KafkaException

    from sightstream.consumers.metrics_server import MetricsPortInUse, serve_metrics
    from sightstream.consumers.probes import LoopHealth
    from sightstream.consumers.store.errors import StoreError
    from sightstream.consumers.store.run import MAX_POLL_INTERVAL_S, open_store
    from sightstream.consumers.store.settings import StoreSettings
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import load
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.connections.spans import TracingUnavailable
    from sightstream.schemas.connections.tracing import TracingSettings
    from sightstream.schemas.wire.topics import TopicSettings

    settings = load(StoreSettings)
    settings = settings.model_copy(update={"path": path} if path else {})
    log_to_stderr()
    health = LoopHealth(MAX_POLL_INTERVAL_S, "partitions")
    try:
        with (
            serve_metrics(settings.metrics_port, access=settings.access, health=health),
            open_store(
                settings, load(KafkaSettings), load(TopicSettings), load(TracingSettings), health.turned
            ) as follower,
        ):
            follower.run(_stop_on_signals().is_set, until_idle)
            written = follower.written
    except (StoreError, MetricsPortInUse, TracingUnavailable, sqlite3.Error, KafkaException) as error:
        raise CommandError(explain_kafka_error(error) or str(error)) from error
    print(f"{settings.path}: {', '.join(f'{count} {table}' for table, count in written.items())} written")


def _stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set; the store then ends after the current batch.

    Before there is a batch, both have their default action.
    """
    received = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: received.set())
    return received
