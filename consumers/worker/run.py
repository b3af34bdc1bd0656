"""Runs a whole worker from its settings: name, topics, flow, loop, metrics."""

from __future__ import annotations

import signal
from collections.abc import Callable

from sightstream.consumers.metrics_server import serve_metrics
from sightstream.consumers.worker.name import reserve_name
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.topic_check import check_topics
from sightstream.consumers.worker.worker import Worker
from sightstream.pipeline.flow import Flow
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings


def run_worker(
    settings: WorkerSettings, kafka: KafkaSettings, topics: TopicSettings, start_flow: Callable[[], Flow]
) -> None:
    """Run until SIGTERM or SIGINT. Call it on the main thread. Raises Fatal or MetricsPortInUse.

    Before the worker joins its group it has nothing to finish: until then a signal has its default action.
    """
    with reserve_name(settings.group_id, settings.name) as name, serve_metrics(settings.metrics_port):
        check_topics(kafka, topics)
        flow = start_flow()
        try:
            worker = Worker(settings, kafka, topics, flow, f"{settings.group_id}-{name}")
            worker.run(on_joining=lambda: _stop_on_signals(worker))
        finally:
            flow.stop()


def _stop_on_signals(worker: Worker) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
