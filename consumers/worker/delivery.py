"""A request in this worker's hands: the record that it came as, and the attempts so far."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from structlog.contextvars import bound_contextvars

from sightstream.pipeline.types import NO_ANSWERS, FinishedAnswers, Origin, StageTime
from sightstream.schemas.wire.dead_letter import Headers, RecordId
from sightstream.schemas.wire.record_size import headers_bytes
from sightstream.schemas.wire.redrive import history_headers
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.trace_context import TraceContext

# Measured: a delivery with a request of 230 bytes uses about 2 kB.
FIXED_BYTES = 4096
HEADER_OBJECT_BYTES = 200
MAX_ORDER_KEY_BYTES = 64 * 1024


@dataclass(slots=True, eq=False)
class Delivery:
    """`request` is None when the record does not parse. Compared by identity: a record read twice is two deliveries.

    `omitted` is set when key, value and headers are not kept: the headers that replace them in a dead letter.
    Outcomes alone counts `attempts`, and keeps what failed ones had `finished` for the next. RetryQueue alone sets
    `failing_since` and `refused_since`: since when its attempts fail, and since when its origin answers them with a
    refusal. Intake sets `origin`, where its image comes from, and `received_at`, by its clock. RequestSpans alone sets
    `span` and `stages`, which stay empty while nothing is traced.
    """

    record_id: RecordId
    key: bytes | None
    value: bytes | None
    headers: Headers
    request: ImageRequest | None = None
    attempts: int = 0
    failing_since: float | None = None
    omitted: Headers | None = None
    refused_since: float | None = None
    origin: Origin | None = None
    finished: FinishedAnswers = NO_ANSWERS
    received_at: float = 0.0
    span: TraceContext | None = None
    stages: tuple[StageTime, ...] = ()

    @property
    def order_key(self) -> bytes | None:
        """Deliveries with the same key are published in the order of their offsets."""
        return self.request.product_id.encode() if self.request else self.key

    @property
    def questions(self) -> int:
        """How many questions it brings into work at once: those with a condition come later, if at all."""
        return sum(question.when is None for question in self.request.questions or ()) or 1 if self.request else 1

    @property
    def held_bytes(self) -> int:
        """Return about the most memory that this delivery uses until it is published.

        The strings of a request have up to four bytes for each byte of its value.
        """
        headers = headers_bytes(self.headers) + HEADER_OBJECT_BYTES * len(self.headers)
        return FIXED_BYTES + len(self.key or b"") + 5 * len(self.value or b"") + headers

    def omit(self, replacement: Headers) -> None:
        """Drop the record's own bytes; its dead letter carries `replacement` instead.

        The history of a redriven request stays. A key stays for the order of outcomes, unless it alone is large.
        """
        self.omitted = replacement
        self.value, self.headers = None, history_headers(self.headers)
        if len(self.key or b"") > MAX_ORDER_KEY_BYTES:
            self.key = None


def about(delivery: Delivery) -> AbstractContextManager[None]:
    """Let lines that are logged meanwhile name the record, and the request that it holds if it could be read."""
    at = delivery.record_id
    record = f"{at.topic}/{at.partition}/{at.offset}"
    if delivery.request is None:
        return bound_contextvars(record=record)
    return bound_contextvars(record=record, request_id=delivery.request.request_id)
