"""The worker's loop: take, run, finish, commit; never blocked by an image.

One thread owns the consumer, the ledgers and the producer; the flow works on threads and processes of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from random import Random

from confluent_kafka import Consumer, TopicPartition

from sightstream.consumers.metrics import IN_FLIGHT, IN_FLIGHT_BYTES, REBALANCES
from sightstream.consumers.worker.claims import Claims
from sightstream.consumers.worker.committer import Committer
from sightstream.consumers.worker.intake import Intake
from sightstream.consumers.worker.outcomes import Outcomes
from sightstream.consumers.worker.retries import Retries
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.transactions import Transactions
from sightstream.pipeline.flow import Flow
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout
from sightstream.schemas.wire.topics import MAX_REQUEST_RECORD_BYTES, TopicSettings

log = logging.getLogger(__name__)

IDLE_POLL_S = 0.2
BUSY_POLL_S = 0.02
CLOSE_PATIENCE_S = 30.0


class Worker:
    """`run` blocks until `stop` is called, from a signal handler or another thread, or until Fatal."""

    def __init__(
        self,
        settings: WorkerSettings,
        kafka: KafkaSettings,
        topics: TopicSettings,
        flow: Flow,
        transactional_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._topics, self._flow, self._clock = settings, topics, flow, clock
        self._consumer = Consumer(consumer_config(settings, kafka) | {"client.id": transactional_id})
        self._claims = Claims(self._consumer, topics.requests, settings.note_limit)
        self._retries = Retries(settings, clock, Random())  # noqa: S311 - jitter
        self._outcomes = Outcomes(topics, self._claims, flow, self._retries)
        self._intake = Intake(settings, self._consumer, self._claims, flow, self._retries, self._outcomes.reject, clock)
        transactions = Transactions(kafka, transactional_id, settings.transaction_timeout_ms)
        self._committer = Committer(settings, topics.requests, self._claims, transactions, self._consumer, clock)
        self._leaving = threading.Event()

    def stop(self) -> None:
        """Finish or hand back within `drain_timeout_s`, commit, leave the group."""
        self._leaving.set()

    def run(self) -> None:
        """Raises Fatal when this worker can't go on; what was finished is committed first."""
        try:
            self._join()
            while not self._leaving.is_set():
                self._turn()
            self._drain()
        finally:
            self._leave()

    def _turn(self) -> None:
        asked = self._intake.take(BUSY_POLL_S if self._claims.unpublished else IDLE_POLL_S)
        self._outcomes.collect(0 if asked else BUSY_POLL_S)
        self._outcomes.try_again()
        self._committer.commit_if_due()
        IN_FLIGHT.set(self._claims.unpublished)
        IN_FLIGHT_BYTES.set(self._flow.held_bytes)

    # --- joining and leaving ------------------------------------------------------------------------------

    def _join(self) -> None:
        while not self._committer.start() and not self._leaving.wait(1):
            pass
        self._consumer.subscribe(
            [self._topics.requests], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _drain(self) -> None:
        """Waits for what runs, within bounds; what waits for an outage to end is handed back."""
        self._intake.shut()
        deadline = self._clock() + self._settings.drain_timeout_s
        while self._claims.unpublished > len(self._retries) and self._clock() < deadline:
            self._turn()

    def _leave(self) -> None:
        """`close` hands the partitions over through `_on_revoke`; it can hang, so it is bounded."""
        try:
            call_with_timeout(self._consumer.close, timeout_s=CLOSE_PATIENCE_S)
        except CallTimedOut:
            log.error("the consumer did not close; the group will notice by its session timeout")
        except Exception:
            log.exception("closing the consumer failed")
        self._committer.close()

    # --- the group's rebalances, from within `take` -------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        REBALANCES.labels("assigned").inc()
        consumer.incremental_assign(self._claims.open(at.partition for at in partitions))
        consumer.resume(partitions)  # a pause of an earlier assignment would still hold (librdkafka #1849)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Finished work is still ours to commit; the next owner does the rest."""
        REBALANCES.labels("revoked").inc()
        self._committer.commit_or_give_up()
        self._drop(partitions)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Others may own them already: nothing of ours is committed for them."""
        REBALANCES.labels("lost").inc()
        self._drop(partitions)
        consumer.incremental_unassign(partitions)

    def _drop(self, partitions: list[TopicPartition]) -> None:
        claims = self._claims.close(at.partition for at in partitions)
        tickets = {ticket for claim in claims for ticket in claim.tickets.values()}
        self._retries.forget(tickets)
        self._flow.cancel(set(tickets))


def consumer_config(settings: WorkerSettings, kafka: KafkaSettings) -> dict[str, str | int | float | bool]:
    """What a worker's consumer needs to be exact: nothing is committed but by our transactions."""
    return kafka.client_config() | {
        "group.id": settings.group_id,
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": max(300, settings.session_timeout_ms // 5),
        "max.poll.interval.ms": settings.max_poll_interval_ms,
        # Requests are small and wait behind a GPU: a deep prefetch would only be thrown away at a pause.
        "queued.max.messages.kbytes": 16 * 1024,
        "fetch.message.max.bytes": MAX_REQUEST_RECORD_BYTES,
    }
