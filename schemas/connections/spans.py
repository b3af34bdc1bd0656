"""Makes spans and hands them to an OTLP sender. OpenTelemetry is loaded only where an endpoint is set."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from sightstream.schemas.connections.timeouts import CallTimedOut, call_with_timeout
from sightstream.schemas.connections.tracing import TracingSettings
from sightstream.schemas.wire.trace_context import TraceContext

CLOSE_TIMEOUT_S = 5.0
_LOW_64_BITS = 2**64 - 1

Kind = Literal["internal", "consumer", "client"]
Attributes = Mapping[str, str | int]


class TracingUnavailable(Exception):
    """Spans can't be sent as the settings want it; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work that has ended. Times are in nanoseconds since 1970; `error` says why it failed."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    start_ns: int
    end_ns: int
    kind: Kind = "internal"
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None


class Spans:
    """Decides which traces are recorded, and gives their spans ids. `record` queues one, never blocks, never raises."""

    def __init__(self, record: Callable[[Span], None], sample_ratio: float = 1.0) -> None:
        self.record = record
        self._bound = round(sample_ratio * 2**64)
        self._random = random.Random()  # noqa: S311 - ids are no secrets

    def child_of(self, parent: TraceContext) -> TraceContext:
        """Return the context of a new span; in a trace that is not recorded there are none, so `parent` itself."""
        return TraceContext(parent.trace_id, self._new_span_id(), True) if parent.is_sampled else parent

    def root(self) -> TraceContext:
        """Return the context of the first span of a new trace, and decide whether that is recorded."""
        trace_id = self._random.getrandbits(128) or 1
        return TraceContext(trace_id, self._new_span_id(), trace_id & _LOW_64_BITS < self._bound)

    def _new_span_id(self) -> int:
        return self._random.getrandbits(64) or 1


@contextmanager
def open_spans(settings: TracingSettings, service: str, instance: str) -> Iterator[Spans | None]:
    """Yield where to record spans, None while tracing is off. Raises TracingUnavailable.

    A receiver that is away costs spans, and delays no request. The end blocks for CLOSE_TIMEOUT_S at most.
    """
    if settings.endpoint is None:
        yield None
        return
    try:
        from sightstream.schemas.connections.otlp import OtlpSender
    except ImportError:
        raise TracingUnavailable(
            "[tracing] endpoint is set and OpenTelemetry is missing: install sightstream[otel], or unset it"
        ) from None
    sender = OtlpSender(settings, service, instance)
    try:
        yield Spans(sender.send, settings.sample_ratio)
    finally:
        with suppress(CallTimedOut):
            call_with_timeout(sender.close, timeout_s=CLOSE_TIMEOUT_S)
