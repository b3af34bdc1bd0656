"""Sends spans by OTLP over HTTP, in batches, on a thread of OpenTelemetry's own. Loads OpenTelemetry."""

from __future__ import annotations

import logging

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.re import parse_env_headers

from sightstream.schemas.connections.client_log import RepeatFilter
from sightstream.schemas.connections.spans import Span
from sightstream.schemas.connections.tracing import TracingSettings
from sightstream.schemas.wire.trace_context import TraceContext

MAX_BATCH_SPANS = 512
_KINDS = {"internal": SpanKind.INTERNAL, "consumer": SpanKind.CONSUMER, "client": SpanKind.CLIENT}
# While a receiver is away these say so at every attempt.
_LOGGERS = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
_REPEATS = RepeatFilter()
_SCOPE = InstrumentationScope("sightstream")
_UNSET = Status(StatusCode.UNSET)


class OtlpSender:
    """Queues spans and sends them; those that the receiver does not accept in time are dropped.

    A span is made whole at its end, from times that were measured anyhow: a tracer's live spans would cost each stage
    several times as much.
    """

    def __init__(self, settings: TracingSettings, service: str, instance: str) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_REPEATS)
        headers = settings.headers.get_secret_value() if settings.headers else ""
        exporter = OTLPSpanExporter(
            endpoint=settings.endpoint,
            certificate_file=str(settings.ca_file) if settings.ca_file else None,
            headers=parse_env_headers(headers, liberal=True),
            timeout=settings.export_timeout_s,
        )
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=settings.queue_spans,
            schedule_delay_millis=settings.export_interval_s * 1000,
            max_export_batch_size=MAX_BATCH_SPANS,
            export_timeout_millis=settings.export_timeout_s * 1000,
        )
        self._resource = Resource.create({"service.name": service, "service.instance.id": instance})

    def send(self, span: Span) -> None:
        """Queue a span. Never blocks, raises nothing."""
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.context),
                parent=None if span.parent is None else _context(span.parent, is_remote=span.kind == "consumer"),
                resource=self._resource,
                attributes=span.attributes,
                kind=_KINDS[span.kind],
                instrumentation_scope=_SCOPE,
                status=_UNSET if span.error is None else Status(StatusCode.ERROR, span.error),
                start_time=span.start_ns,
                end_time=span.end_ns,
            )
        )

    def close(self) -> None:
        """Send what waits. Blocks while the receiver does not answer, up to the export's time limit."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]  # it states no types


def _context(context: TraceContext, is_remote: bool = False) -> SpanContext:
    return SpanContext(context.trace_id, context.span_id, is_remote, TraceFlags(TraceFlags.SAMPLED))
