"""Every record becomes a row, whatever it contains."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.rows import Record, dead_letter_row, result_row
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import HEADER_PREFIX, Failure, Headers, RecordId
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result import ImageResult
from tests.consumers.outcomes import dead_record, result_record
from tests.schemas.wire import strategies

SOURCE = RecordId("image.requests", 3, 41)


def record(key: bytes | None, value: bytes | None, headers: Headers) -> Record:
    return Record("t", 0, 7, 1234, key, value, headers)


@given(strategies.results)
def test_a_result_keeps_every_byte(result: ImageResult) -> None:
    value = encode(result)
    row = result_row(record(b"k", value, SOURCE.headers()))
    assert row.table == "results"
    assert str(row.values["record"]).encode() == value
    assert (row.values["request_id"], row.values["conclusion"]) == (result.request_id, result.answer.conclusion)
    assert (row.values["source_topic"], row.values["source_partition"], row.values["source_offset"]) == (
        "image.requests",
        3,
        41,
    )


def test_an_answer_without_a_source_is_an_answer_still() -> None:
    key, value, _ = result_record("r", "p", SOURCE)
    row = result_row(record(key, value, []))
    assert (row.table, row.values["source_topic"]) == ("results", None)


@given(strategies.requests, strategies.failures)
def test_a_dead_letter_keeps_the_request(request: ImageRequest, failure: Failure) -> None:
    value = encode(request)
    row = dead_letter_row(record(b"k", value, [("mine", b"x"), *failure.headers()]))
    assert row.table == "dead_letters"
    assert (row.values["value"], row.values["key"]) == (value, b"k")
    assert (row.values["request_id"], row.values["product_id"]) == (request.request_id, request.product_id)
    assert json.loads(str(row.values["headers"]))[0] == ["mine", "eA=="]


def test_a_reason_and_a_stage_of_a_later_version_are_kept_as_text() -> None:
    key, value, headers = dead_record("r", "p", SOURCE)
    later = {HEADER_PREFIX + "reason": b"moon_phase_unsuitable", HEADER_PREFIX + "stage": b"stargaze"}
    row = dead_letter_row(record(key, value, [(name, later.get(name, content)) for name, content in headers]))
    assert (row.table, row.values["reason"], row.values["stage"]) == (
        "dead_letters",
        "moon_phase_unsuitable",
        "stargaze",
    )


def test_a_dead_letter_whose_request_is_garbage_has_no_ids() -> None:
    _, _, headers = dead_record("r", "p", SOURCE)
    row = dead_letter_row(record(None, b"\xff\x00{", headers))
    assert (row.table, row.values["request_id"], row.values["value"]) == ("dead_letters", None, b"\xff\x00{")


header_names = st.sampled_from([name for name, _ in dead_record("r", "p", SOURCE)[2]] + ["other"])
some_headers = st.lists(st.tuples(header_names, st.none() | st.binary(max_size=30)), max_size=12)


@given(st.none() | st.binary(max_size=60), some_headers)
def test_no_record_raises_and_all_can_be_written(
    tmp_path_factory: pytest.TempPathFactory, value: bytes | None, headers: Headers
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.db"
    rows = [result_row(record(None, value, headers)), dead_letter_row(record(value, value, headers))]
    with Database(path) as database:
        database.write(rows, {})
        database.restart(PartitionId("t", 0), 0)
    assert rows[0].table == "unreadable"
    assert rows[0].values["value"] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source-offset", b"9" * 30),
        ("attempts", b"9" * 30),
        ("attempts", b"-"),
        ("reason", b"not a code"),
        ("reason", b"x" * 65),
        ("stage", b"\x1b[2J"),
        ("failed-at", b"yesterday"),
        ("detail", b"\xff"),
        ("source-topic", None),
    ],
)
def test_a_damaged_header_makes_the_dead_letter_unreadable(name: str, value: bytes | None) -> None:
    key, original, headers = dead_record("r", "p", SOURCE)
    damaged = [(n, v) if n != HEADER_PREFIX + name else (n, value) for n, v in headers]
    row = dead_letter_row(record(key, original, damaged))
    assert row.table == "unreadable"
    assert row.values["why"]


def test_a_missing_header_is_named() -> None:
    row = dead_letter_row(record(b"k", b"v", []))
    assert row.values["why"] == f"no header '{HEADER_PREFIX}reason'"


def test_a_number_too_large_for_the_database_is_unreadable() -> None:
    key, value, headers = result_record("r", "p", SOURCE)
    row = result_row(record(key, value.replace(b'"prompt":5', b'"prompt":' + b"9" * 25), headers))
    assert row.table == "unreadable"
