"""The worker's loop: poll, collect outcomes, retry, commit; it never waits for an image.

One thread owns the consumer, the ledgers and the producer; the flow works on threads and processes of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from random import Random

from confluent_kafka import Consumer, TopicPartition

from sightstream.consumers.metrics import REBALANCES
from sightstream.consumers.worker.assignment import Assignment
from sightstream.consumers.worker.committer import Committer
from sightstream.consumers.worker.intake import Detours, Intake
from sightstream.consumers.worker.load_metrics import LoadMetrics
from sightstream.consumers.worker.lost_position import LostPositions
from sightstream.consumers.worker.outcomes import Outcomes
from sightstream.consumers.worker.progress_log import ProgressLog
from sightstream.consumers.worker.request_flow import RequestFlow
from sightstream.consumers.worker.request_spans import RequestSpans
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.topic_watch import TopicWatch
from sightstream.consumers.worker.transactions import Transactions
from sightstream.consumers.worker.unreadable.batch_reader import ChildReader
from sightstream.consumers.worker.unreadable.cases import UnreadableBatches
from sightstream.pipeline.errors import Fatal
from sightstream.pipeline.metrics import REPEATED
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import BATCH_BYTES, KafkaSettings
from sightstream.schemas.connections.spans import Spans
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout
from sightstream.schemas.wire.topics import TopicSettings

log = logging.getLogger(__name__)

IDLE_POLL_S = 0.2
BUSY_POLL_S = 0.02
CLOSE_TIMEOUT_S = 30.0
SOCKET_TIMEOUT_MS = 10_000

_REPEATED_ELSEWHERE = REPEATED.labels("partition_moved")


class Worker:
    """`run` blocks until `stop` is called, from a signal handler or another thread, or until Fatal."""

    def __init__(
        self,
        settings: WorkerSettings,
        kafka: KafkaSettings,
        topics: TopicSettings,
        flow: RequestFlow,
        transactional_id: str,
        topic_watch: TopicWatch,
        from_beginning: bool = False,
        spans: Spans | None = None,
    ) -> None:
        """`spans` is None while nothing is traced."""
        clock = time.monotonic
        request_spans = RequestSpans(spans, settings.group_id) if spans is not None else None
        self._settings, self._topics, self._flow, self._clock = settings, topics, flow, clock
        self._on_turn: Callable[[], None] = lambda: None
        config = consumer_config(settings, kafka) | {"client.id": transactional_id}
        self._consumer = Consumer(config, logger=client_logger(__name__))
        self._assignment = Assignment(self._consumer, topics.requests, settings.offset_metadata_limit_bytes)
        self._retry_queue = RetryQueue(settings, clock, Random())  # noqa: S311 - jitter
        self._outcomes = Outcomes(topics, self._assignment, flow, self._retry_queue, request_spans)
        self._topic_watch = topic_watch
        self._lost_positions = LostPositions(
            self._consumer, self._assignment, topic_watch.confirm, from_beginning, clock
        )
        unreadable = UnreadableBatches(self._assignment, partial(ChildReader, kafka, topics.requests), clock)
        self._intake = Intake(
            settings,
            self._consumer,
            self._assignment,
            flow,
            self._retry_queue,
            self._outcomes.reject,
            clock,
            Detours(self._lost_positions, unreadable),
        )
        transactions = Transactions(kafka, transactional_id, settings.transaction_timeout_s, topic_watch.confirm)
        self._committer = Committer(
            settings, topics.requests, self._assignment, transactions, self._consumer, clock, request_spans
        )
        self._load_metrics = LoadMetrics(self._assignment, flow, self._retry_queue, settings.gpu_price_per_hour, clock)
        self._progress_log = ProgressLog(self._committer.counts, clock)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Make `run` end: requests finish or go back within `drain_timeout_s`, then the worker leaves its group."""
        self._stopping.set()

    def run(self, on_joining: Callable[[], None] = lambda: None, on_turn: Callable[[], None] = lambda: None) -> None:
        """Consume until `stop`. Raises Fatal when this worker can't go on; finished work is committed first.

        Until `on_joining` is called, nothing was consumed, so the process may end at any moment. `on_turn` is called at
        each turn of the loop, also of those that wait for the broker before it.
        """
        self._on_turn = on_turn
        try:
            self._join_group(on_joining)
            while not self._stopping.is_set():
                self._run_once()
            self._drain()
        finally:
            self._leave_group()
            self._progress_log.log_end()

    def _run_once(self) -> None:
        self._on_turn()
        self._topic_watch.raise_problem()
        self._lost_positions.restore()
        polled = self._intake.poll(BUSY_POLL_S if self._assignment.unpublished else IDLE_POLL_S)
        self._outcomes.collect(0 if polled else BUSY_POLL_S)
        self._outcomes.retry_due()
        unfinished = self._assignment.unfinished
        in_progress = unfinished > len(self._retry_queue)
        self._committer.commit_if_due(more_expected=in_progress or not self._intake.is_drained)
        self._progress_log.log_if_due(unfinished)
        self._load_metrics.update()

    # --- joining and leaving the group --------------------------------------------------------------------

    def _join_group(self, on_joining: Callable[[], None]) -> None:
        while not self._committer.start() and not self._stopping.wait(1):
            self._on_turn()
        self._wait_for_engine()
        on_joining()
        self._consumer.subscribe(
            [self._topics.requests], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _wait_for_engine(self) -> None:
        """Wait until it is known to answer rightly: until then others had better keep the partitions. Raises Fatal."""
        while self._flow.free_capacity <= 0 and not self._stopping.is_set():
            self._on_turn()
            self._topic_watch.raise_problem()
            self._outcomes.collect(IDLE_POLL_S)

    def _drain(self) -> None:
        """Wait for the requests in flight, within bounds; requests that wait for an outage to end are handed back."""
        self._intake.close()
        deadline = self._clock() + self._settings.drain_timeout_s
        while self._assignment.unpublished > len(self._retry_queue) and self._clock() < deadline:
            self._run_once()

    def _leave_group(self) -> None:
        """Close the consumer, which hands the partitions over through `_on_revoke`. It can hang, so it is bounded."""
        try:
            call_with_timeout(self._consumer.close, timeout_s=CLOSE_TIMEOUT_S)
        except CallTimedOut:
            log.error("the consumer did not close; the group will notice after the session timeout")
        except Fatal as error:
            log.error("the last commit was given up: %s", error)
        except Exception:
            log.exception("closing the consumer failed")
        self._committer.close()

    # --- the group's rebalances, called from within `Intake.poll` -----------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        REBALANCES.labels("assigned").inc()
        log.info("assigned: %s", _listed(partitions))
        consumer.incremental_assign(self._assignment.assign(at.partition for at in partitions))
        consumer.resume(partitions)  # a pause of an earlier assignment would still hold (librdkafka #1849)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit what is finished while the partitions are still ours; the next owner does the rest."""
        REBALANCES.labels("revoked").inc()
        log.info("revoked: %s", _listed(partitions))
        self._committer.commit_or_give_up()
        self._drop(partitions)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit nothing: others may own these partitions already."""
        REBALANCES.labels("lost").inc()
        log.info("lost: %s", _listed(partitions))
        self._drop(partitions)
        consumer.incremental_unassign(partitions)

    def _drop(self, partitions: list[TopicPartition]) -> None:
        revoked = self._assignment.revoke(at.partition for at in partitions)
        _REPEATED_ELSEWHERE.inc(sum(len(state.ledger) - state.ledger.unfinished for state in revoked))
        deliveries = {delivery for state in revoked for delivery in state.deliveries.values()}
        self._retry_queue.discard(deliveries)
        self._flow.cancel(set(deliveries))


def _listed(partitions: list[TopicPartition]) -> str:
    numbers = sorted(at.partition for at in partitions)
    return f"partitions {', '.join(map(str, numbers))}" if numbers else "no partitions"


def consumer_config(settings: WorkerSettings, kafka: KafkaSettings) -> dict[str, str | int | float | bool]:
    """Return the consumer's settings for exactly-once work: only our transactions commit offsets."""
    session_timeout_ms = round(settings.session_timeout_s * 1000)
    return kafka.client_config() | {
        "group.id": settings.group_id,
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "check.crcs": True,  # otherwise a record that rotted on disk would be answered as it is
        "auto.offset.reset": "error",  # LostPositions decides where to go on
        "enable.partition.eof": True,
        "session.timeout.ms": session_timeout_ms,
        "heartbeat.interval.ms": max(300, session_timeout_ms // 5),
        "max.poll.interval.ms": round(settings.max_poll_interval_s * 1000),
        # A frozen broker's partitions have other leaders after seconds; the default waits a minute for its answer.
        "socket.timeout.ms": SOCKET_TIMEOUT_MS,
        # Requests are small and wait behind a GPU: a deep prefetch would only be thrown away at a pause.
        "queued.max.messages.kbytes": 16 * 1024,
        # All partitions fill one queue. With the client's defaults one that has a deep backlog fills it first and again
        # before the others look, so a partition that comes later is not read until that backlog is done.
        "queued.min.messages": 100,
        "fetch.queue.backoff.ms": 20,
        "fetch.message.max.bytes": BATCH_BYTES,  # a larger batch comes nevertheless, whole
    }
