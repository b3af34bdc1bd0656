"""Runs a whole worker from its settings: name, checks, flow, loop, metrics."""

from __future__ import annotations

import logging
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from confluent_kafka.admin import AdminClient

from sightstream.consumers.disk_space import PathRole, show_disk_space
from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.tail import find_record, open_tail_consumer
from sightstream.consumers.metrics_server import serve_metrics
from sightstream.consumers.worker.canary_records import FolderRecords
from sightstream.consumers.worker.committer import show_counters
from sightstream.consumers.worker.gpu import show_gpu
from sightstream.consumers.worker.health import WorkerHealth
from sightstream.consumers.worker.isolation import Isolation
from sightstream.consumers.worker.journal import Journal
from sightstream.consumers.worker.name import file_stem, reserve_name
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.state_folder import hold_state_folder
from sightstream.consumers.worker.topic_check import check_group, check_topics
from sightstream.consumers.worker.topic_watch import TopicWatch, watching
from sightstream.consumers.worker.worker import Worker
from sightstream.pipeline.engine.known_answer import CanaryRecords
from sightstream.pipeline.flow import Flow
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.spans import open_spans
from sightstream.schemas.connections.tracing import NO_TRACING, TracingSettings
from sightstream.schemas.wire.topics import TopicSettings

log = logging.getLogger(__name__)

CHECK_TIMEOUT_S = 30.0


def run_worker(
    settings: WorkerSettings,
    kafka: KafkaSettings,
    topics: TopicSettings,
    start_flow: Callable[[CanaryRecords], Flow],
    from_beginning: bool = False,
    tracing: TracingSettings = NO_TRACING,
) -> None:
    """Run until SIGTERM or SIGINT. Call it on the main thread. Raises Fatal, MetricsPortInUse or TracingUnavailable.

    `start_flow` gets what keeps the canary's answer over restarts.

    Before the worker joins its group it has nothing to finish: until then a signal has its default action.
    `from_beginning` lets it start at the oldest request where the group's offsets are lost or past the end; offsets
    that are good stay.
    """
    group_id, health = settings.group_id, WorkerHealth(settings.max_poll_interval_s)
    with (
        hold_state_folder(settings.state_dir) as folder,
        reserve_name(group_id, settings.name, folder) as name,
        serve_metrics(settings.metrics_port, access=settings.access, health=health),
        open_spans(tracing, "sightstream-worker", name) as spans,
        show_gpu(),
        show_disk_space(_disk_paths(settings)),
    ):
        show_counters()
        admin = AdminClient(kafka.client_config(), logger=client_logger(__name__))
        broker = Broker(admin, CHECK_TIMEOUT_S)
        topic_id = check_topics(broker, topics)
        if not from_beginning:
            check_own_group(broker, settings, kafka, topics)
        watch = TopicWatch(_watch_broker(settings, kafka), topics.requests, topic_id)
        log.info("worker %s of the group %s starts", name, group_id)
        journal = Journal(folder, f"{file_stem(group_id, name)}.journal", topic_id)
        flow = start_flow(FolderRecords(folder))
        health.watch(flow, watch)
        try:
            isolation = Isolation(flow, journal, time.monotonic)
            worker = Worker(settings, kafka, topics, isolation, f"{group_id}-{name}", watch, from_beginning, spans)
            with watching(watch):
                worker.run(on_joining=lambda: _stop_on_signals(worker), on_turn=health.turned)
        finally:
            journal.close()
            flow.stop()


def _disk_paths(settings: WorkerSettings) -> dict[PathRole, Path]:
    temporary = Path(tempfile.gettempdir())
    return {"worker_state": settings.state_dir or temporary, "worker_temporary": temporary}


def _watch_broker(settings: WorkerSettings, kafka: KafkaSettings) -> Broker:
    """Return what is asked inside a transaction: it must answer long before the broker's own limit.

    By default the client waits a minute for a frozen broker and prefers it meanwhile, as the last one that it used.
    """
    timeout_s = settings.transaction_timeout_s / 6
    config = kafka.client_config() | {"socket.timeout.ms": max(1000, round(timeout_s * 1000))}
    return Broker(AdminClient(config, logger=client_logger(__name__)), timeout_s)


def _stop_on_signals(worker: Worker) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())


def check_own_group(broker: Broker, settings: WorkerSettings, kafka: KafkaSettings, topics: TopicSettings) -> None:
    """Raise Fatal when the group's offsets are lost; see `check_group`."""
    consumer = open_tail_consumer(kafka)
    try:
        check_group(
            broker, settings.group_id, topics, partial(find_record, broker, consumer, timeout_s=CHECK_TIMEOUT_S)
        )
    finally:
        consumer.close()
