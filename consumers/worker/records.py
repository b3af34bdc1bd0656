"""Outcomes as Kafka records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sightstream.consumers.worker.ticket import Ticket
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.codec import MAX_RESULT_BYTES, encode
from sightstream.schemas.wire.dead_letter import Failure, Headers, Reason, Stage, omitted_headers, original_headers
from sightstream.schemas.wire.result import ImageResult
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES, TopicSettings, record_key

# The rest is room for our own headers and the batch's frame.
MAX_KEPT_BYTES = MAX_OUTCOME_RECORD_BYTES - 64 * 1024


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
    """Key, value and the publisher's headers as they came, ours behind them.

    A record that no topic of ours can hold is named by its size and digest instead; its source says where it lies.
    """
    failure = Failure(error.reason, error.stage, str(error), ticket.attempts, now, ticket.source)
    headers = original_headers(ticket.headers)
    key, value, omitted = ticket.key, ticket.value, []
    if _size(key, value, headers) > MAX_KEPT_BYTES:
        omitted = omitted_headers(key, value)
        key, value, headers = None, None, []
    return OutgoingRecord(topics.dead_letters, key, value, headers + failure.headers() + omitted, error.reason)


def _size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    return len(key or b"") + len(value or b"") + sum(len(name) + len(content or b"") for name, content in headers)
