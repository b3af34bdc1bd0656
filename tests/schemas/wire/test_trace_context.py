"""The W3C trace context of a record: what is written is read, and anything else counts as none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.schemas.wire.trace_context import TraceContext, trace_context

VALID = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def read(value: bytes | None) -> TraceContext | None:
    return trace_context([("other", b"1"), ("traceparent", value)])


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_written_is_read(trace_id: int, span_id: int, is_sampled: bool) -> None:
    context = TraceContext(trace_id, span_id, is_sampled)
    assert trace_context([context.header()]) == context


def test_the_header_is_that_of_the_standard() -> None:
    context = TraceContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, True)
    assert context.header() == ("traceparent", VALID)
    assert read(VALID) == context
    assert read(VALID[:-2] + b"00") == TraceContext(context.trace_id, context.span_id, False)


def test_a_later_version_may_say_more() -> None:
    assert read(b"cc" + VALID[2:] + b"-what-the-future-brings") == read(VALID)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"00-" + b"0" * 32 + VALID[35:],
        VALID[:36] + b"0" * 16 + b"-01",
        b"ff" + VALID[2:],
        VALID + b"-more",
        VALID.upper(),
        VALID + b"\n",
        b"cc" + VALID[2:] + b"-" + b"x" * 10_000_000,
        b"\xff" * 55,
    ],
)
def test_what_makes_no_sense_is_none(value: bytes | None) -> None:
    found = read(value)
    assert found is None or len(value or b"") > 1000


def test_only_the_first_header_of_the_name_counts() -> None:
    assert trace_context([("traceparent", b"?"), ("traceparent", VALID)]) is None
    assert trace_context([]) is None


@given(st.binary(max_size=80))
def test_no_bytes_are_an_error(value: bytes) -> None:
    read(value)
