"""What the codec refuses, with which reason, and that it never repeats a value."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from pydantic import ValidationError

from sightstream.schemas.wire.codec import (
    MAX_DEPTH,
    MAX_REQUEST_BYTES,
    MAX_RESULT_BYTES,
    WireError,
    decode_request,
    decode_result,
)
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef

CANARY = "c4n4ry-secret"
VALID: dict[str, Any] = {
    "schema_version": 1,
    "request_id": "r-1",
    "product_id": "p-1",
    "image": {"uri": "s3://shop/p-1.jpg"},
    "question": "What is this?",
    "submitted_at": "2026-01-02T03:04:05Z",
}


def request_bytes(**changes: object) -> bytes:
    return json.dumps(VALID | changes).encode()


def refused(value: bytes | None) -> WireError:
    with pytest.raises(WireError) as caught:
        decode_request(value)
    return caught.value


def test_the_plain_request_is_accepted() -> None:
    assert decode_request(request_bytes()).request_id == "r-1"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b" ",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"{",
        b"{}",
        b"\xff\xfe",
        b"\xef\xbb\xbf" + request_bytes(),
        request_bytes() + b"x",
        request_bytes() * 2,
        request_bytes().replace(b"}", b",}"),
        request_bytes()[:-1],
        request_bytes(surprise=1),
        request_bytes(schema_version=True),
        request_bytes(schema_version=1.0),
        request_bytes(schema_version="1"),
        request_bytes(schema_version=None),
        request_bytes(request_id=""),
        request_bytes(request_id="x" * 257),
        request_bytes(request_id="a\nb"),
        request_bytes(product_id=7),
        request_bytes(question="nul\x00"),
        request_bytes(question="x" * 8193),
        request_bytes(question="lone \ud800 surrogate"),
        request_bytes(attributes={"lone \udfff": "x"}),
        request_bytes(attributes={str(i): "" for i in range(33)}),
        request_bytes(attributes={"a": 1}),
        request_bytes(image={"uri": "s3://b/a\tb"}),
        request_bytes(image={"uri": "s3://b/k", "sha256": "F" * 64}),
        request_bytes(submitted_at="2026-01-02T03:04:05"),
        request_bytes(submitted_at=1700000000),
        request_bytes(options={"max_tokens": 0}),
        request_bytes(options={"max_tokens": 1.0}),
        request_bytes(options={"seed": 2**63}),
        request_bytes(options={"seed": 10**4000}),
        request_bytes(options={"temperature": "0"}),
    ],
)
def test_malformed(value: bytes | None) -> None:
    assert refused(value).reason is Reason.MALFORMED


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000, "1" * 400 + ".0"])
@pytest.mark.parametrize("template", [b'{"options": {"temperature": %s}}', b'{"x": [{"y": %s}]}'])
def test_numbers_beyond_json_or_beyond_a_double(number: str, template: bytes) -> None:
    value = request_bytes()[:-1] + b", " + (template % number.encode())[1:]
    error = refused(value)
    assert error.reason is Reason.MALFORMED
    assert number not in str(error) or number in ("NaN", "Infinity", "-Infinity")


@pytest.mark.parametrize(
    "twice",
    [
        b'"request_id": "r-2"',
        b'"image": {"uri": "s3://b/2"}',
        b'"options": {"seed": 1, "seed": 1}',
        b'"attributes": {"a": "1", "\\u0061": "2"}',
        b'"request\\u005fid": "r-2"',
    ],
)
def test_a_key_that_occurs_twice(twice: bytes) -> None:
    error = refused(request_bytes()[:-1] + b", " + twice + b"}")
    assert error.reason is Reason.MALFORMED
    assert "twice" in str(error)


@pytest.mark.parametrize("version", [0, 3, -1, 10**100])
def test_an_unknown_version_has_its_own_reason(version: int) -> None:
    assert refused(request_bytes(schema_version=version, new_field=[1])).reason is Reason.UNSUPPORTED_VERSION


def test_the_byte_cap_counts_bytes_and_holds_to_the_byte() -> None:
    padded = request_bytes() + b" " * (MAX_REQUEST_BYTES - len(request_bytes()))
    assert decode_request(padded).request_id == "r-1"
    error = refused(padded + b" ")
    assert error.reason is Reason.REQUEST_TOO_LARGE
    assert str(MAX_REQUEST_BYTES) in str(error)


def test_the_byte_cap_holds_before_anything_is_parsed() -> None:
    assert refused(b"\xff" * (MAX_REQUEST_BYTES + 1)).reason is Reason.REQUEST_TOO_LARGE
    with pytest.raises(WireError) as caught:
        decode_result(b"[" * (MAX_RESULT_BYTES + 1))
    assert caught.value.reason is Reason.REQUEST_TOO_LARGE


def test_the_depth_cap() -> None:
    assert "nested" in str(refused(b"[" * 100_000))
    assert "nested" in str(refused(b'{"a":' * (MAX_DEPTH[2] + 1)))
    assert "nested" not in str(refused(b"[" * MAX_DEPTH[1] + b"]" * MAX_DEPTH[1]))


@pytest.mark.parametrize("text", ["[" * 100, "{" * 100, '"[[' * 40, "\\" * 41 + "[" * 40, '\\"' * 20 + "{" * 40])
def test_brackets_inside_a_string_do_not_count(text: str) -> None:
    assert decode_request(request_bytes(question=text)).question == text


@pytest.mark.parametrize("unit", [b'\\"', b'"', b"\\", b'"[', b'"\\', b"[]", b'{"', b'"\\"'])
def test_the_worst_bytes_cost_linear_time(unit: bytes) -> None:
    value = b'"' + unit * ((MAX_REQUEST_BYTES - 1) // len(unit))
    start = time.process_time()
    refused(value)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": [CANARY]},
        {"question": {"x": CANARY}},
        {"image": {"uri": f"https://user:{CANARY}@host/a\x7fb"}},
        {"image": {"uri": "s3://b/k", "sha256": CANARY}},
        {"image": CANARY},
        {"schema_version": CANARY},
        {"submitted_at": CANARY},
        {"deadline": f"2026-13-{CANARY}"},
        {"options": {"max_tokens": CANARY}},
        {"options": {"top_p": CANARY}},
        {"attributes": {"a": [CANARY]}},
        {"attributes": {"a": CANARY + "\x00"}},
        {"surprise": CANARY},
    ],
)
def test_a_refusal_never_repeats_a_value(changes: dict[str, object]) -> None:
    error = refused(request_bytes(**changes))
    assert CANARY not in str(error)
    assert CANARY not in repr(error)
    assert error.__cause__ is None


def test_a_refusal_of_broken_json_never_repeats_a_value() -> None:
    for value in (b'{"x": %s}', b'{"x": "%s', b'{"x": "%s" "y"}', b'{"x": "\\q%s"}', b'"%s\xff"'):
        assert CANARY not in str(refused(value % CANARY.encode()))


def test_a_senders_long_names_are_clipped() -> None:
    assert len(str(refused(request_bytes(**{"n" * 100_000: 1})))) < 200


def test_a_refusal_names_the_field() -> None:
    assert "options.max_tokens" in str(refused(request_bytes(options={"max_tokens": 0})))


def test_a_byte_order_mark_is_named() -> None:
    with pytest.raises(WireError, match="begins with a byte order mark; write UTF-8 without one"):
        decode_request(b"\xef\xbb\xbf" + request_bytes())


def test_an_address_without_a_scheme_is_refused_when_it_is_made_and_read_from_the_wire() -> None:
    with pytest.raises(ValidationError, match="write s3://bucket/key, https://host/path or file:///path"):
        ImageRef(uri="foo")
    assert ImageRef.model_validate_json('{"uri": "foo"}').uri == "foo"  # the fetcher says what is wrong with it
