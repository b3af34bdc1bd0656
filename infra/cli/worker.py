"""`sightstream worker`: runs one worker of the group."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def worker(
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder of a checkpoint, such as Llama-3.2V-11B-cot; unset: as in [engine]."),
    ] = None,
    from_beginning: Annotated[
        bool,
        typer.Option(
            "--from-beginning",
            help="Start at the oldest request where the group has no usable offset; requests may be answered again.",
        ),
    ] = False,
) -> None:
    """Answer requests from Kafka and commit results, dead letters and offsets in one transaction.

    Run one worker per GPU. It stops on Ctrl-C or SIGTERM.
    """
    from sightstream.consumers.metrics_server import MetricsPortInUse
    from sightstream.consumers.worker.run import run_worker
    from sightstream.consumers.worker.settings import WorkerSettings
    from sightstream.infra.errors import CommandError
    from sightstream.infra.flow import start_flow
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import load
    from sightstream.pipeline.errors import Fatal
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.wire.topics import TopicSettings

    log_to_stderr()
    settings, kafka, topics = load(WorkerSettings), load(KafkaSettings), load(TopicSettings)
    try:
        run_worker(settings, kafka, topics, lambda: start_flow(checkpoint), from_beginning)
    except (Fatal, MetricsPortInUse) as error:
        raise CommandError(str(error)) from error
