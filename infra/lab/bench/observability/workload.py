"""Requests through a worker's own parts, from the record to the commit, with nothing slow around them."""

from __future__ import annotations

import queue
import time
from typing import Any, cast

from confluent_kafka import Consumer, TopicPartition

from sightstream.consumers.worker.assignment import Assignment
from sightstream.consumers.worker.committer import Committer
from sightstream.consumers.worker.incoming import read_record
from sightstream.consumers.worker.ledger import METADATA_LIMIT_BYTES
from sightstream.consumers.worker.load_metrics import LoadMetrics
from sightstream.consumers.worker.outcomes import Outcomes
from sightstream.consumers.worker.request_spans import RequestSpans
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.transactions import Transactions
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.in_flight import CLOCKS
from sightstream.pipeline.known_good import known_good_image, known_good_request
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.stages import NO_SERVER, Server
from sightstream.pipeline.types import Canvas, Completion, EngineJob, FetchedImage, FinishedJob, Origin, Pixels
from sightstream.schemas.connections.spans import Spans
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.request import ImageRef
from sightstream.schemas.wire.result import ModelIdentity
from sightstream.schemas.wire.topics import TopicSettings
from sightstream.schemas.wire.trace_context import TraceContext

BATCH_RECORDS = 250
_IMAGE, _PIXELS = known_good_image(), Pixels(bytes(3), 1, 1, "PNG")
_ORIGIN = Origin("s3://bench", "s3", is_dependency=True)


class _Fetcher:
    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage:
        return _IMAGE

    def server(self, image: ImageRef) -> Server:
        return NO_SERVER

    def origin(self, image: ImageRef) -> Origin:
        return _ORIGIN


class _Decoder:
    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels:
        return _PIXELS

    def release(self, pixels: Pixels | Canvas) -> None: ...

    def stop(self) -> None: ...


class _Engine:
    """Answers every job at once."""

    identity = ModelIdentity(name="bench", quantization="none", engine="bench")

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[EngineJob] = queue.SimpleQueue()

    def submit(self, job: EngineJob) -> None:
        self._jobs.put(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        try:
            job = self._jobs.get(timeout=timeout)
        except queue.Empty:
            return []
        return [FinishedJob(job.id, Completion("<CONCLUSION>fine</CONCLUSION>", "stop", 5, 5))]

    def cancel(self, job_id: int) -> None: ...

    def capacity(self) -> int:
        return BATCH_RECORDS

    def running(self) -> int:
        return 0

    def stop(self) -> None: ...


class _Consumer:
    """A partition whose group has committed nothing."""

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return partitions


class _Transactions:
    """Every commit holds, at no cost."""

    def renew(self) -> None: ...

    def poll(self) -> None: ...

    def commit(self, *_: object) -> None: ...

    def close(self) -> None: ...


def run_requests(count: int, spans: Spans | None) -> None:
    """Send so many requests through, from their records to the commit of their outcomes. Blocks."""
    topics, settings = TopicSettings(), WorkerSettings()
    consumer = cast(Consumer, _Consumer())  # the part that Assignment uses
    flow = Flow(FlowSettings(prepare_threads=2), _Fetcher(), _Decoder(), _Engine(), coalesce=False)
    assignment = Assignment(consumer, topics.requests, METADATA_LIMIT_BYTES)
    assignment.assign([0])
    retry_queue = RetryQueue(settings, time.monotonic, cast(Any, None))
    request_spans = None if spans is None else RequestSpans(spans, settings.group_id)
    outcomes = Outcomes(topics, assignment, flow, retry_queue, request_spans)
    transactions = cast(Transactions, _Transactions())
    committer = Committer(settings, topics.requests, assignment, transactions, consumer, time.monotonic, request_spans)
    committer.start()
    load = LoadMetrics(assignment, flow, retry_queue, 3.0, time.monotonic)
    try:
        for start in range(0, count, BATCH_RECORDS):
            _run_batch(range(start, min(start + BATCH_RECORDS, count)), assignment, flow, outcomes)
            committer.commit_or_give_up()
            load.update()
    finally:
        flow.stop()


def _run_batch(numbers: range, assignment: Assignment, flow: Flow, outcomes: Outcomes) -> None:
    state = next(iter(assignment))
    headers: list[tuple[str, bytes | None]] = [TraceContext(2**100, 2**50, True).header()]
    value = encode(known_good_request(CLOCKS))
    for number in numbers:
        delivery, _ = read_record(RecordId(assignment.topic, 0, number), b"key", value, headers)
        assert delivery.request is not None  # noqa: S101
        delivery.origin, delivery.received_at = _ORIGIN, time.monotonic()
        state.start(delivery)
        flow.submit(delivery, delivery.request)
    while assignment.unfinished:
        outcomes.collect(0.1)
