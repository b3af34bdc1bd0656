"""What becomes of a record's bytes, key and headers when it is read."""

from __future__ import annotations

import gc
import hashlib
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.worker import incoming
from sightstream.consumers.worker.incoming import read_record
from sightstream.consumers.worker.records import MAX_KEPT_BYTES, dead_letter_record
from sightstream.pipeline.errors import Fatal, Rejected
from sightstream.schemas.wire.codec import MAX_HEADERS, MAX_HEADERS_BYTES, decode_request, encode
from sightstream.schemas.wire.dead_letter import Headers, Reason, RecordId, Stage
from sightstream.schemas.wire.record_size import record_bytes
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES, TopicSettings
from tests.consumers.outcomes import request

AT = RecordId("image.requests", 3, 17)
TOPICS = TopicSettings()
VALUE = encode(request())
SHAPELESS = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
THREE = [{"id": name, "text": "?"} for name in "abc"]


def test_a_request_keeps_everything() -> None:
    delivery, problem = read_record(AT, b"k", VALUE, [("mine", b"1")])
    assert problem is None
    assert (delivery.key, delivery.value, delivery.headers, delivery.omitted) == (b"k", VALUE, [("mine", b"1")], None)
    assert delivery.request == request()


@pytest.mark.parametrize(
    "headers",
    [None, [("h", b"")] * (MAX_HEADERS + 1), [("h", b"x" * MAX_HEADERS_BYTES)], [("n" * 600, None)] * 110],
    ids=["a name that is not UTF-8", "too many", "too large", "long names"],
)
def test_unusable_headers_make_the_record_malformed_and_are_left_out(headers: Headers | None) -> None:
    delivery, problem = read_record(AT, b"k", VALUE, headers)
    assert problem is not None
    assert (problem.reason, problem.stage) == (Reason.MALFORMED, Stage.TAKE)
    assert "the headers are left out here" in str(problem)
    assert (delivery.key, delivery.value, delivery.headers, delivery.request) == (b"k", VALUE, [], None)


def test_the_most_headers_that_are_allowed_are_kept() -> None:
    headers: Headers = [("h" * 20, b"x" * 30)] * MAX_HEADERS
    delivery, problem = read_record(AT, b"k", VALUE, headers)
    assert (problem, delivery.headers) == (None, headers)


def test_bytes_that_no_dead_letter_could_carry_are_dropped_at_once() -> None:
    value = b"x" * (MAX_KEPT_BYTES + 1)
    delivery, problem = read_record(AT, b"k", value, [("mine", b"1")])
    assert problem is not None
    assert problem.reason is Reason.REQUEST_TOO_LARGE
    assert (delivery.value, delivery.headers, delivery.order_key) == (None, [], b"k")
    record = dead_letter_record(delivery, problem, TOPICS, datetime.now(UTC))
    headers = dict(record.headers)
    assert (record.key, record.value, record.partition) == (None, None, 3)
    assert headers["sightstream-omitted-bytes"] == str(len(value) + 1).encode()
    assert headers["sightstream-omitted-sha256"] == hashlib.sha256(value).hexdigest().encode()


def test_nothing_refers_to_dropped_bytes() -> None:
    """An exception refers to the frames that it passed, and could keep 600 MB until the next full collection."""
    value = b"x" * (MAX_KEPT_BYTES + 1)
    before = sys.getrefcount(value)
    gc.disable()
    try:
        kept = read_record(AT, b"k", value, [])
        assert sys.getrefcount(value) == before, kept
    finally:
        gc.enable()


def test_a_large_key_is_dropped_too_and_the_request_is_answered_still() -> None:
    delivery, problem = read_record(AT, b"k" * (MAX_KEPT_BYTES + 1), VALUE, [])
    assert (problem, delivery.request, delivery.key, delivery.order_key) == (None, request(), None, b"p-1")
    assert delivery.held_bytes < 10_000


sizes = st.integers(0, 3 * 1024**2)
names = st.sampled_from(["h", "sightstream-reason", "漢" * 20, "\U0001f457" * 50, ""])
some_headers = st.none() | st.lists(st.tuples(names, st.none() | st.binary(max_size=200)), max_size=1100)


@given(st.none() | sizes, st.none() | sizes, some_headers)
def test_every_record_can_be_a_dead_letter(key: int | None, value: int | None, headers: Headers | None) -> None:
    delivery, problem = read_record(
        AT, None if key is None else bytes(key), None if value is None else bytes(value), headers
    )
    assert problem is not None
    error = Rejected(problem.reason, problem.stage, "漢" * 5000)
    record = dead_letter_record(delivery, error, TOPICS, datetime.now(UTC))
    assert record.size_bytes == record_bytes(record.key, record.value, record.headers) <= MAX_OUTCOME_RECORD_BYTES
    assert delivery.held_bytes >= len(delivery.value or b"")


@pytest.mark.parametrize(
    ("fields", "reason", "detail"),
    [
        ({"response_format": SHAPELESS}, Reason.SCHEMA_UNUSABLE, "the schema of the question answer: #: fits every"),
        ({"options": {"max_tokens": 4096}, "questions": THREE}, Reason.MALFORMED, "max_tokens of all questions"),
    ],
)
def test_a_request_beyond_the_limits_is_rejected_before_anything_is_fetched(
    fields: dict[str, Any], reason: Reason, detail: str
) -> None:
    asked = {} if "questions" in fields else {"question": "?"}
    base = {"schema_version": 2, "request_id": "r", "product_id": "p", "image": {"uri": "s3://b/k"}}
    value = json.dumps(base | asked | {"submitted_at": "2026-01-02T03:04:05Z"} | fields).encode()
    delivery, problem = read_record(AT, b"k", value, [])
    assert problem is not None
    assert (problem.reason, problem.stage) == (reason, Stage.TAKE)
    assert detail in str(problem)
    assert (delivery.value, delivery.request) == (value, None)


def test_a_bug_that_one_record_triggers_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_on_mine(value: bytes | None) -> ImageRequest:
        if value == VALUE:
            raise ZeroDivisionError("secret")
        return decode_request(value)

    monkeypatch.setattr(incoming, "decode_request", fail_on_mine)
    delivery, problem = read_record(AT, b"k", VALUE, [])
    assert problem is not None
    assert (problem.reason, problem.stage) == (Reason.INTERNAL_ERROR, Stage.TAKE)
    assert "secret" not in str(problem)
    assert (delivery.value, delivery.request) == (VALUE, None)


@pytest.mark.parametrize("error", [ZeroDivisionError(), MemoryError()], ids=repr)
def test_a_parser_that_fails_on_every_record_stops_the_worker(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(value: bytes | None) -> ImageRequest:
        raise error

    monkeypatch.setattr(incoming, "decode_request", fail)
    with pytest.raises(Fatal):
        read_record(AT, b"k", VALUE, [])
