"""Whatever bytes arrive, decoding answers with a model or a WireError."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from sightstream.schemas.wire.codec import WireError, decode_request, decode_result, encode
from sightstream.schemas.wire.dead_letter import Failure, Headers
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result_v2 import AnyResult
from tests.schemas.wire import strategies as wire

TOKENS = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u", b"null", b"NaN", b"1e999", b"-", b"\x00", b"\xff"]


def model_or_wire_error(value: bytes | None) -> None:
    for decode in (decode_request, decode_result):
        with suppress(WireError):
            decode(value)


@given(st.none() | st.binary(max_size=300))
@example(b'{"a":"\\ud800"}')
def test_arbitrary_bytes(value: bytes | None) -> None:
    model_or_wire_error(value)


@given(st.lists(st.sampled_from(TOKENS), max_size=60).map(b"".join))
def test_arbitrary_json_tokens(value: bytes) -> None:
    model_or_wire_error(value)


@st.composite
def mutated(draw: st.DrawFn, records: st.SearchStrategy[BaseModel]) -> bytes:
    """A valid record with a few slices cut out, doubled or overwritten."""
    value = encode(draw(records))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(value)))
        stop = draw(st.integers(start, min(len(value), start + 20)))
        patch = draw(st.sampled_from(TOKENS) | st.binary(max_size=4) | st.just(value[start:stop] * 2))
        value = value[:start] + patch + value[stop:]
    return value


@given(mutated(wire.requests | wire.requests_v2))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_requests(value: bytes) -> None:
    try:
        request = decode_request(value)
    except WireError:
        return
    assert isinstance(request, ImageRequest)
    assert decode_request(encode(request)) == request


@given(mutated(wire.results | wire.results_v2))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_results(value: bytes) -> None:
    try:
        result = decode_result(value)
    except WireError:
        return
    assert isinstance(result, AnyResult)
    assert decode_result(encode(result)) == result


@st.composite
def mutated_headers(draw: st.DrawFn) -> Headers:
    """Kafka lets a header have any bytes, or no value at all."""
    headers: list[tuple[str, bytes | None]] = list(draw(wire.failures).headers())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(headers) - 1))
        headers[at] = (headers[at][0], draw(st.none() | st.binary(max_size=12)))
    return headers


@given(mutated_headers())
def test_mutated_dead_letter_headers(headers: Headers) -> None:
    try:
        failure = Failure.from_headers(headers)
    except (KeyError, ValueError):
        return
    assert isinstance(failure, Failure)
