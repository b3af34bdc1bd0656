"""What was encoded comes back equal, and obeys the published documents."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sightstream.schemas.wire.codec import decode_request, decode_result, encode
from sightstream.schemas.wire.dead_letter import MAX_DETAIL_CHARS, Failure, RecordId, original_headers, printable
from sightstream.schemas.wire.published_schemas import published_schemas
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result import ImageResult
from sightstream.schemas.wire.result_v2 import ImageResultV2
from tests.schemas.wire import strategies as wire


def validator(name: str) -> Draft202012Validator:
    schema: dict[str, Any] = json.loads(published_schemas()[name])
    return Draft202012Validator(schema)


REQUEST = validator("image-request.v1.schema.json")
RESULT = validator("image-result.v1.schema.json")
REQUEST_2 = validator("image-request.v2.schema.json")
RESULT_2 = validator("image-result.v2.schema.json")
HEADERS = validator("dead-letter-headers.v1.schema.json")


@given(wire.requests)
def test_a_request_comes_back_equal(request: ImageRequest) -> None:
    value = encode(request)
    assert decode_request(value) == request
    REQUEST.validate(json.loads(value))


@given(wire.results)
@settings(deadline=None)
def test_a_result_comes_back_equal(result: ImageResult) -> None:
    value = encode(result)
    assert decode_result(value) == result
    RESULT.validate(json.loads(value))


@given(wire.requests_v2)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_request_of_version_2_comes_back_equal_and_byte_for_byte(request: ImageRequest) -> None:
    value = encode(request)
    assert request.schema_version == 2
    assert decode_request(value) == request
    assert encode(decode_request(value)) == value
    REQUEST_2.validate(json.loads(value))


@given(wire.results_v2)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_result_of_version_2_comes_back_equal_and_byte_for_byte(result: ImageResultV2) -> None:
    value = encode(result)
    assert decode_result(value) == result
    assert encode(decode_result(value)) == value
    RESULT_2.validate(json.loads(value))


@given(wire.requests)
def test_a_request_that_uses_nothing_new_stays_one_of_version_1(request: ImageRequest) -> None:
    given_fields = {name: getattr(request, name) for name in request.model_fields_set - {"schema_version"}}
    assert encode(ImageRequest(**given_fields)) == encode(request)
    assert request.schema_version == 1


@given(wire.failures)
def test_dead_letter_headers_come_back_equal(failure: Failure) -> None:
    headers = failure.headers()
    assert Failure.from_headers(headers) == failure
    assert RecordId.from_headers(headers) == failure.source
    HEADERS.validate({name: value.decode() for name, value in headers if value is not None})
    assert all(value is not None for _, value in headers)


@given(st.text(max_size=2 * MAX_DETAIL_CHARS))
def test_printable_is_printable_and_idempotent(text: str) -> None:
    clean = printable(text)
    assert all(char.isprintable() for char in clean)
    assert printable(clean) == clean
    clean.encode("utf-8")


@given(
    wire.failures,
    st.lists(st.tuples(st.from_regex(r"[a-rt-z][a-z-]{0,10}", fullmatch=True), st.binary(max_size=20)), max_size=5),
)
def test_the_publishers_own_headers_survive(failure: Failure, own: list[tuple[str, bytes]]) -> None:
    assert original_headers([*own, *failure.headers()]) == own
