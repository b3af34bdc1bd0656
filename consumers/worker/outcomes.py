"""Moves outcomes from the flow into the ledgers: ends at once, failures that may pass through the retry queue."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from sightstream.consumers.metrics import RETRIES
from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.consumers.worker.delivery import Delivery, about
from sightstream.consumers.worker.records import OutgoingRecord, dead_letter_record, result_record
from sightstream.consumers.worker.request_flow import RequestFlow
from sightstream.consumers.worker.request_spans import RequestSpans
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected, Retryable
from sightstream.pipeline.in_flight import CLOCKS
from sightstream.pipeline.internal_errors import attempt
from sightstream.pipeline.known_good import known_good_result
from sightstream.pipeline.types import Outcome
from sightstream.schemas.wire.dead_letter import Reason, RecordId, Stage
from sightstream.schemas.wire.result_v2 import AnyResult
from sightstream.schemas.wire.topics import TopicSettings

log = logging.getLogger(__name__)

# Rejected before a request to the image's source was sent: proves nothing about whether the source is up.
_SENT_NO_REQUEST = {Reason.DEADLINE_EXCEEDED, Reason.UNSUPPORTED_URI, Reason.FORBIDDEN_LOCATION}


class Outcomes:
    """Used by the thread that owns the consumer."""

    def __init__(
        self,
        topics: TopicSettings,
        assignment: Assignment,
        flow: RequestFlow,
        retry_queue: RetryQueue,
        spans: RequestSpans | None = None,
    ) -> None:
        """`spans` is None while nothing is traced."""
        self._spans = spans
        self._topics, self._assignment, self._flow, self._retry_queue = topics, assignment, flow, retry_queue

    def collect(self, timeout_s: float = 0) -> None:
        """Handle all outcomes of the flow; wait `timeout_s` at most when there is none.

        Raises Fatal when the flow can't go on.
        """
        for outcome in self._flow.collect(timeout_s):
            assert isinstance(outcome.ticket, Delivery)  # noqa: S101
            with about(outcome.ticket):
                self._handle(outcome.ticket, outcome)

    def retry_due(self) -> None:
        """Submit the requests whose next attempt is due."""
        for delivery in self._retry_queue.due():
            if self._assignment.find(delivery) and delivery.request is not None:
                with about(delivery):
                    log.debug("attempt %d begins", delivery.attempts + 1)
                    self._flow.submit(delivery, delivery.request, delivery.finished)

    def reject(self, delivery: Delivery, error: Rejected) -> None:
        """End the delivery as a dead letter."""
        if state := self._assignment.find(delivery):
            with about(delivery):
                self._reject(state, delivery, error)

    def _handle(self, delivery: Delivery, outcome: Outcome) -> None:
        result = outcome.result
        state = self._assignment.find(delivery)
        if state is None or isinstance(result, Cancelled):
            return
        delivery.attempts += 1
        if self._spans is not None:
            self._spans.add(delivery, outcome.stages)
        if isinstance(result, Retryable):
            delivery.finished = outcome.finished
            self._handle_failure(state, delivery, result)
            return
        if not (isinstance(result, Rejected) and result.reason in _SENT_NO_REQUEST):
            self._retry_queue.record_success(delivery, _last_stage(result), _was_read(result))
        self._handle_end(state, delivery, result)

    def _handle_failure(self, state: PartitionState, delivery: Delivery, error: Retryable) -> None:
        RETRIES.labels(error.stage.value).inc()
        log.debug("attempt %d failed at the stage %s: %s", delivery.attempts, error.stage.value, error)
        if not self._retry_queue.add(delivery, error):
            detail = f"{error}; given up after {delivery.attempts} attempts"
            reason = error.otherwise.reason if error.otherwise else Reason.RETRIES_EXHAUSTED
            self._reject(state, delivery, Rejected(reason, error.stage, detail))

    def _handle_end(self, state: PartitionState, delivery: Delivery, result: AnyResult | PipelineError) -> None:
        try:
            if isinstance(result, PipelineError):
                raise result
            _finish(state, delivery, self._result_record(delivery, result))
            log.debug("answered")
        except Rejected as error:
            self._reject(state, delivery, error)

    def _result_record(self, delivery: Delivery, result: AnyResult) -> OutgoingRecord:
        def write_known_good() -> None:
            other = Delivery(RecordId(self._topics.requests, 0, 0), None, None, [])
            result_record(other, known_good_result(CLOCKS), self._topics)

        return attempt(Stage.PUBLISH, lambda: result_record(delivery, result, self._topics), write_known_good)

    def _reject(self, state: PartitionState, delivery: Delivery, error: Rejected) -> None:
        if self._spans is not None:
            self._spans.add(delivery)
        _finish(state, delivery, dead_letter_record(delivery, error, self._topics, datetime.now(UTC)))
        log.info("dead letter, %s at the stage %s: %s", error.reason.value, error.stage.value, error)


def _finish(state: PartitionState, delivery: Delivery, record: OutgoingRecord) -> None:
    state.ledger.finish(delivery.record_id.offset, record)


def _last_stage(result: AnyResult | PipelineError) -> Stage:
    """Return the last stage that responded. A missing or corrupt image still proves that its source is up.

    A cached answer proves nothing about the engine.
    """
    if isinstance(result, Rejected):
        return result.stage
    return Stage.FETCH if isinstance(result, AnyResult) and result.cached else Stage.INFER


def _was_read(result: AnyResult | PipelineError) -> bool:
    """Return whether the image itself was read, rather than only an answer about it."""
    return not (isinstance(result, Rejected) and result.stage is Stage.FETCH)
