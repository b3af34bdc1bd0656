"""Turns outcomes into Kafka records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sightstream.consumers.worker.delivery import Delivery
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.codec import MAX_RESULT_BYTES, encode
from sightstream.schemas.wire.dead_letter import Failure, Headers, Reason, Stage, omitted_headers, original_headers
from sightstream.schemas.wire.result import ImageResult
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES, TopicSettings, record_key

# 64 KiB are left for our own headers and the batch's framing.
MAX_KEPT_BYTES = MAX_OUTCOME_RECORD_BYTES - 64 * 1024


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to publish. `reason` is set on dead letters alone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: Reason | None = None


def result_record(delivery: Delivery, result: ImageResult, topics: TopicSettings) -> OutgoingRecord:
    """Return the record of a result. Raises Rejected when it is larger than its topic accepts."""
    value = encode(result)
    if len(value) > MAX_RESULT_BYTES:
        detail = f"the result has {len(value)} bytes, over {MAX_RESULT_BYTES}; ask for fewer tokens"
        raise Rejected(Reason.RESULT_TOO_LARGE, Stage.PUBLISH, detail)
    return OutgoingRecord(topics.results, record_key(result.product_id), value, delivery.record_id.headers())


def dead_letter_record(delivery: Delivery, error: Rejected, topics: TopicSettings, now: datetime) -> OutgoingRecord:
    """Return the dead letter: key, value and the publisher's headers as they came, ours behind them.

    A record that is too large for our topics is replaced by its size and digest; the source headers say where it is.
    """
    failure = Failure(error.reason, error.stage, str(error), delivery.attempts, now, delivery.record_id)
    headers = original_headers(delivery.headers)
    omitted: Headers = []
    key, value = delivery.key, delivery.value
    if _size(key, value, headers) > MAX_KEPT_BYTES:
        omitted = omitted_headers(key, value)
        key, value, headers = None, None, []
    return OutgoingRecord(topics.dead_letters, key, value, headers + failure.headers() + omitted, error.reason)


def _size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    return len(key or b"") + len(value or b"") + sum(len(name) + len(content or b"") for name, content in headers)
