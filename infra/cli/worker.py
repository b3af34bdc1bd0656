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
    gpus: Annotated[
        str | None,
        typer.Option(
            help="Run a worker for each of these GPUs of this machine, such as 0,1, or for all; start each again when "
            "it dies. Unset: one worker, in this process."
        ),
    ] = None,
) -> None:
    """Answer requests from Kafka and commit results, dead letters and offsets in one transaction.

    Run one worker per GPU. It stops on Ctrl-C or SIGTERM.
    """
    if gpus is not None:
        raise typer.Exit(_supervise(gpus, checkpoint, from_beginning))
    from sightstream.consumers.metrics_server import MetricsPortInUse
    from sightstream.consumers.worker.run import run_worker
    from sightstream.consumers.worker.settings import WorkerSettings
    from sightstream.infra.errors import CommandError
    from sightstream.infra.flow import start_flow
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import load
    from sightstream.pipeline.errors import Fatal
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.connections.spans import TracingUnavailable
    from sightstream.schemas.connections.tracing import TracingSettings
    from sightstream.schemas.wire.topics import TopicSettings

    log_to_stderr()
    settings, kafka, topics = load(WorkerSettings), load(KafkaSettings), load(TopicSettings)
    try:
        run_worker(
            settings,
            kafka,
            topics,
            lambda records: start_flow(checkpoint, records=records),
            from_beginning,
            load(TracingSettings),
        )
    except (Fatal, MetricsPortInUse, TracingUnavailable) as error:
        raise CommandError(str(error)) from error


def _supervise(gpus: str, checkpoint: Path | None, from_beginning: bool) -> int:
    """Run one worker for each GPU, and return the exit code."""
    import signal

    from sightstream.consumers.worker.settings import WorkerSettings
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import check_all, load
    from sightstream.infra.supervisor.gpus import chosen_gpus
    from sightstream.infra.supervisor.programs import worker_programs
    from sightstream.infra.supervisor.supervisor import Supervisor, stop_timeout_s

    log_to_stderr()
    check_all()  # before any worker starts
    settings = load(WorkerSettings)
    options = [] if checkpoint is None else ["--checkpoint", str(checkpoint)]
    options += ["--from-beginning"] if from_beginning else []
    supervisor = Supervisor(worker_programs(chosen_gpus(gpus), settings, options), stop_timeout_s(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    return supervisor.run()
