"""From the flow into the ledgers: answers and rejections at once, what may pass later back into the flow."""

from __future__ import annotations

from datetime import UTC, datetime

from sightstream.consumers.metrics import RETRIES
from sightstream.consumers.worker.claims import Claims
from sightstream.consumers.worker.records import OutgoingRecord, dead_letter_record, result_record
from sightstream.consumers.worker.retries import Retries
from sightstream.consumers.worker.ticket import Ticket
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected, Retryable
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.types import Outcome
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.result import ImageResult
from sightstream.schemas.wire.topics import TopicSettings

# Rejected before the image's source was asked: says nothing of whether it is up.
_NEVER_ASKED = {Reason.DEADLINE_EXCEEDED, Reason.UNSUPPORTED_URI, Reason.FORBIDDEN_LOCATION}


class Outcomes:
    """Used by the thread that owns the consumer."""

    def __init__(self, topics: TopicSettings, claims: Claims, flow: Flow, retries: Retries) -> None:
        self._topics, self._claims, self._flow, self._retries = topics, claims, flow, retries

    def collect(self, wait_s: float = 0) -> None:
        """Blocks for `wait_s` at most when there is none. Raises Fatal when the flow can't go on."""
        for outcome in self._flow.collect(wait_s):
            self._settle(outcome)

    def try_again(self) -> None:
        """Hands the flow what is due for another attempt."""
        for ticket in self._retries.due():
            if self._claims.holds(ticket) and ticket.request is not None:
                self._flow.submit(ticket, ticket.request)

    def reject(self, ticket: Ticket, error: Rejected) -> None:
        """The ticket ends as a dead letter."""
        self._enter(ticket, dead_letter_record(ticket, error, self._topics, datetime.now(UTC)))

    def _settle(self, outcome: Outcome) -> None:
        ticket, result = outcome.ticket, outcome.result
        assert isinstance(ticket, Ticket)  # noqa: S101
        if isinstance(result, Cancelled) or not self._claims.holds(ticket):
            return
        if isinstance(result, Retryable):
            self._settle_failure(ticket, result)
            return
        if not (isinstance(result, Rejected) and result.reason in _NEVER_ASKED):
            self._retries.succeeded(ticket, _reached(result))
        self._settle_end(ticket, result)

    def _settle_failure(self, ticket: Ticket, error: Retryable) -> None:
        RETRIES.labels(error.stage.value).inc()
        if not self._retries.failed(ticket, error):
            detail = f"{error}; given up after {ticket.attempts} attempts"
            self.reject(ticket, Rejected(Reason.RETRIES_EXHAUSTED, error.stage, detail))

    def _settle_end(self, ticket: Ticket, result: ImageResult | PipelineError) -> None:
        ticket.attempts += 1
        try:
            if isinstance(result, PipelineError):
                raise result
            self._enter(ticket, result_record(ticket, result, self._topics))
        except Rejected as error:
            self.reject(ticket, error)

    def _enter(self, ticket: Ticket, record: OutgoingRecord) -> None:
        if claim := self._claims.holds(ticket):
            claim.ledger.finish(ticket.source.offset, record)


def _reached(result: ImageResult | PipelineError) -> Stage:
    """How far the request came: an image that is missing or broken, too, was answered about.

    A cached answer says nothing of whether the engine is up.
    """
    if isinstance(result, Rejected):
        return result.stage
    return Stage.FETCH if isinstance(result, ImageResult) and result.cached else Stage.INFER
