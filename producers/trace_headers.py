"""Lets a record carry the span in which the shop publishes it, where the shop uses OpenTelemetry."""

from __future__ import annotations

import sys

from sightstream.producers.kafka_clients import KafkaHeaders
from sightstream.schemas.wire.trace_context import TraceContext


def current_trace_headers() -> KafkaHeaders:
    """Return the header `traceparent` of the calling thread's current span, nothing where there is none.

    It never loads OpenTelemetry: a program that has a span has loaded it.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return []
    found = api.get_current_span().get_span_context()
    if not found.is_valid:
        return []
    return [TraceContext(found.trace_id, found.span_id, found.trace_flags.sampled).header()]
