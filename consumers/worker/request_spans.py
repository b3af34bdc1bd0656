"""Turns the life of a request in this worker into spans, once its outcome is committed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.pipeline.types import StageTime
from sightstream.schemas.connections.spans import Attributes, Span, Spans
from sightstream.schemas.wire.trace_context import TraceContext, trace_context

MAX_STAGES = 32  # a request that is tried for hours has many; the first ones are kept
_NS = 10**9


class RequestSpans:
    """Used by the thread that owns the consumer. All times handed in are those of time.monotonic."""

    def __init__(self, spans: Spans, group_id: str) -> None:
        self._spans, self._group_id = spans, group_id

    def add(self, delivery: Delivery, stages: tuple[StageTime, ...] = ()) -> None:
        """Give the request a span, below its publisher's, and keep when its last attempt was in which stage."""
        if delivery.span is None:
            parent = trace_context(delivery.headers)
            delivery.span = self._spans.root() if parent is None else self._spans.child_of(parent)
        delivery.stages = (delivery.stages + stages)[:MAX_STAGES]

    def record(self, committed: Iterable[tuple[Delivery, OutgoingRecord]], start_s: float, end_s: float) -> None:
        """Record the spans of requests whose outcomes one transaction has committed."""
        to_epoch_ns = time.time_ns() - time.monotonic_ns()
        for delivery, outcome in committed:
            if (whole := delivery.span) is not None and whole.is_sampled:
                attributes = self._attributes(delivery, outcome)
                received_ns = to_epoch_ns + round(delivery.received_at * _NS)
                ended_ns = to_epoch_ns + round(end_s * _NS)
                parent, name = trace_context(delivery.headers), f"process {delivery.record_id.topic}"
                self._spans.record(
                    Span(name, whole, parent, received_ns, ended_ns, "consumer", attributes, outcome.reason)
                )
                for span in self._parts(whole, delivery, ("commit", start_s, end_s), to_epoch_ns):
                    self._spans.record(span)

    def _parts(self, whole: TraceContext, delivery: Delivery, commit: StageTime, to_epoch_ns: int) -> Iterator[Span]:
        for name, start_s, end_s in (*delivery.stages, commit):
            start_ns, end_ns = to_epoch_ns + round(start_s * _NS), to_epoch_ns + round(end_s * _NS)
            yield Span(name, self._spans.child_of(whole), whole, start_ns, end_ns)

    def _attributes(self, delivery: Delivery, outcome: OutgoingRecord) -> Attributes:
        at, request = delivery.record_id, delivery.request
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": at.topic,
            "messaging.destination.partition.id": str(at.partition),
            "messaging.kafka.offset": at.offset,
            "messaging.consumer.group.name": self._group_id,
            "sightstream.attempts": delivery.attempts,
            "sightstream.outcome": "result" if outcome.reason is None else "dead_letter",
        }
        if request is not None:
            attributes |= {"sightstream.request_id": request.request_id, "sightstream.product_id": request.product_id}
        return attributes
