"""A record carries the span in which a shop publishes it."""

from __future__ import annotations

import subprocess
import sys

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from sightstream.schemas.wire.trace_context import TraceContext
from tests.producers.fakes import request
from tests.producers.test_publisher import PublisherHarness


def test_the_current_span_of_the_shop_travels_in_the_header() -> None:
    harness = PublisherHarness()
    span = NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
    with harness.publisher as publisher:
        publisher.publish(request(1))
        with trace.use_span(span):
            publisher.publish(request(2))
    assert harness.producer.headers == [[], [TraceContext(0xA, 0xB, True).header()]]


def test_a_shop_without_opentelemetry_loads_none() -> None:
    code = (
        "import sys; from sightstream.producers.trace_headers import current_trace_headers;"
        "assert current_trace_headers() == []; sys.exit('opentelemetry' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
