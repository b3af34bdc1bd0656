"""Outcomes as Kafka records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from consumers.worker.ticket import Ticket
from pipeline.errors import Rejected
from schemas.codec import MAX_RESULT_BYTES, encode
from schemas.dead_letter import Failure, Headers, Reason, Stage, original_headers
from schemas.result import ImageResult
from schemas.topics import TopicSettings, record_key


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """`reason` is set on dead letters alone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: Reason | None = None


def result_record(ticket: Ticket, result: ImageResult, topics: TopicSettings) -> OutgoingRecord:
    """Raises Rejected when the result is larger than its topic takes."""
    value = encode(result)
    if len(value) > MAX_RESULT_BYTES:
        detail = f"the result has {len(value)} bytes, over {MAX_RESULT_BYTES}; ask for fewer tokens"
        raise Rejected(Reason.RESULT_TOO_LARGE, Stage.PUBLISH, detail)
    return OutgoingRecord(topics.results, record_key(result.product_id), value, ticket.source.headers())


def dead_letter_record(ticket: Ticket, error: Rejected, topics: TopicSettings, now: datetime) -> OutgoingRecord:
    """Key, value and the publisher's headers as they came, ours behind them."""
    failure = Failure(error.reason, error.stage, str(error), ticket.attempts, now, ticket.source)
    headers = original_headers(ticket.headers) + failure.headers()
    return OutgoingRecord(topics.dead_letters, ticket.key, ticket.value, headers, error.reason)
