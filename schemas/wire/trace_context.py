"""Reads and writes the W3C trace context of a record: the header `traceparent` (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sightstream.schemas.wire.dead_letter import Headers

TRACE_HEADER = "traceparent"
MAX_HEADER_BYTES = 512
_SAMPLED = 1
# Later versions may add parts behind these four.
_FORMAT = re.compile(
    rb"(00(?=.{53}\Z)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Names one span of one trace, and says whether the trace is recorded."""

    trace_id: int
    span_id: int
    is_sampled: bool

    def header(self) -> tuple[str, bytes]:
        """Return the header of a record that this span has led to."""
        return TRACE_HEADER, f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.is_sampled:02x}".encode()


def trace_context(headers: Headers) -> TraceContext | None:
    """Return the context that a record came with, None where it has none or one that makes no sense."""
    if (found := _found(headers)) is None:
        return None
    return TraceContext(int(found[2], 16), int(found[3], 16), bool(int(found[4], 16) & _SAMPLED))


def trace_headers(headers: Headers) -> Headers:
    """Return the header of the context that a record came with, as it is; nothing where there is none."""
    found = _found(headers)
    return [] if found is None else [(TRACE_HEADER, found[0])]


def _found(headers: Headers) -> re.Match[bytes] | None:
    """Only the first header of the name counts."""
    for name, value in headers:
        if name == TRACE_HEADER:
            return _FORMAT.fullmatch(value or b"", 0, MAX_HEADER_BYTES)
    return None
