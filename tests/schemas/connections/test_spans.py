"""Spans: which are recorded, what a real receiver gets, and that a receiver which is away delays nothing."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from sightstream.schemas.connections.spans import Span, Spans, TracingUnavailable, open_spans
from sightstream.schemas.connections.tracing import NO_TRACING, TracingSettings
from sightstream.schemas.wire.trace_context import TraceContext
from tests.otlp_receiver import running_receiver

PARENT = TraceContext(0xA << 120, 0xB, True)


def ignore(span: Span) -> None: ...


def test_a_span_is_a_child_in_its_parents_trace() -> None:
    child = Spans(ignore).child_of(PARENT)
    assert (child.trace_id, child.is_sampled) == (PARENT.trace_id, True)
    assert child.span_id not in (0, PARENT.span_id)


def test_the_publisher_decides_whether_its_trace_is_recorded() -> None:
    quiet = TraceContext(1, 2, False)
    assert Spans(ignore, sample_ratio=1).child_of(quiet) == quiet
    assert Spans(ignore, sample_ratio=0).child_of(PARENT).is_sampled


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_of_the_others_a_part_is_recorded(ratio: float) -> None:
    spans = Spans(ignore, ratio)
    assert sum(spans.root().is_sampled for _ in range(4000)) == pytest.approx(4000 * ratio, abs=150)


def test_the_receiver_gets_the_spans_whole() -> None:
    with running_receiver() as received:
        settings = TracingSettings.model_validate({"endpoint": received.url, "headers": "authorization=Bearer%20t"})
        with open_spans(settings, "sightstream-worker", "w-1") as spans:
            assert spans is not None
            child = spans.child_of(PARENT)
            attributes: dict[str, str | int] = {"messaging.kafka.offset": 7, "sightstream.request_id": "r"}
            spans.record(Span("process", child, PARENT, 1_000, 3_000, "consumer", attributes, "not_an_image"))
    (span,) = received.spans
    assert (span.trace_id, span.parent_span_id) == (PARENT.trace_id.to_bytes(16), PARENT.span_id.to_bytes(8))
    assert span.span_id == child.span_id.to_bytes(8)
    assert (span.name, span.start_time_unix_nano, span.end_time_unix_nano) == ("process", 1_000, 3_000)
    assert (span.kind, span.status.code, span.status.message) == (5, 2, "not_an_image")
    assert {one.key: one.value.int_value or one.value.string_value for one in span.attributes} == attributes
    assert received.services == {"sightstream-worker"}
    assert received.headers[0]["authorization"] == "Bearer t"


def test_a_receiver_that_is_away_delays_nothing_and_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sightstream.schemas.connections.spans.CLOSE_TIMEOUT_S", 2.0)
    settings = TracingSettings(endpoint="http://127.0.0.1:1/v1/traces", export_interval_s=0.05, queue_spans=512)
    began = time.process_time()
    with open_spans(settings, "s", "i") as spans:
        assert spans is not None
        for number in range(2000):  # more than the queue holds
            spans.record(Span("fetch", PARENT, None, number, number + 1))
        assert time.process_time() - began < 5
    assert 1 <= sum("Transient error" in line.getMessage() for line in caplog.records) <= 2  # those of two causes


def test_while_tracing_is_off_opentelemetry_is_not_loaded() -> None:
    with open_spans(NO_TRACING, "s", "i") as spans:
        assert spans is None
    code = (
        "import sys, sightstream.consumers.worker.run, sightstream.consumers.store.run, sightstream.producers;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sightstream.schemas.connections.otlp", None)
    settings = TracingSettings(endpoint="http://127.0.0.1:4318/v1/traces")
    with pytest.raises(TracingUnavailable, match=r"install sightstream\[otel\]"), open_spans(settings, "s", "i"):
        pass
