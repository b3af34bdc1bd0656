"""Turns outcomes into Kafka records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sightstream.consumers.worker.delivery import Delivery
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.codec import MAX_RESULT_BYTES, encode
from sightstream.schemas.wire.dead_letter import (
    Failure,
    Headers,
    Reason,
    Stage,
    is_own_header,
    omitted_headers,
    original_headers,
)
from sightstream.schemas.wire.record_size import record_bytes
from sightstream.schemas.wire.redrive import history_headers
from sightstream.schemas.wire.result_v2 import AnyResult
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES, TopicSettings, record_key
from sightstream.schemas.wire.trace_context import trace_headers

# 64 KiB are left for our own headers.
MAX_KEPT_BYTES = MAX_OUTCOME_RECORD_BYTES - 64 * 1024


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to publish. `reason` is set on dead letters alone.

    `partition` is named where there is no key to choose it.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: Reason | None = None
    partition: int | None = None

    @property
    def size_bytes(self) -> int:
        return record_bytes(self.key, self.value, self.headers)

    def without_original(self, partition: int) -> OutgoingRecord | None:
        """Return the dead letter in its omitted form; None for a result, and for one that has that form already."""
        if self.reason is None or self.partition is not None:
            return None
        headers = [(name, value) for name, value in self.headers if is_own_header(name)]
        headers += omitted_headers(self.key, self.value)
        return replace(self, key=None, value=None, headers=headers, partition=partition)


def result_record(delivery: Delivery, result: AnyResult, topics: TopicSettings) -> OutgoingRecord:
    """Return the record of a result. Raises Rejected when it is larger than its topic accepts."""
    value = encode(result)
    if len(value) > MAX_RESULT_BYTES:
        detail = f"the result has {len(value)} bytes, over {MAX_RESULT_BYTES}; ask for fewer tokens"
        raise Rejected(Reason.RESULT_TOO_LARGE, Stage.PUBLISH, detail)
    headers = delivery.record_id.headers() + history_headers(delivery.headers)
    headers += trace_headers(delivery.headers) if delivery.span is None else [delivery.span.header()]
    return OutgoingRecord(topics.results, record_key(result.product_id), value, headers)


def dead_letter_record(delivery: Delivery, error: Rejected, topics: TopicSettings, now: datetime) -> OutgoingRecord:
    """Return the dead letter: key, value and the publisher's headers as they came, ours behind them.

    A record that is too large for our topics is replaced by its size and digest; the source headers say where it is.
    The history of a redriven request is kept in any case. A request without a trace context gets this worker's.
    """
    at = delivery.record_id
    failure = Failure(error.reason, error.stage, str(error), delivery.attempts, now, at).headers()
    failure += (delivery.omitted or []) + history_headers(delivery.headers)
    if delivery.span is not None and not trace_headers(delivery.headers):
        failure.append(delivery.span.header())
    topic = topics.dead_letters
    if delivery.omitted is not None:
        return OutgoingRecord(topic, None, None, failure, error.reason, at.partition)
    headers = original_headers(delivery.headers) + failure
    return OutgoingRecord(topic, delivery.key, delivery.value, headers, error.reason)
