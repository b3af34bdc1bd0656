"""Every record becomes a row, whatever it contains."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.row import Record
from sightstream.consumers.store.rows import dead_letter_row, result_row
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import HEADER_PREFIX, Failure, Headers, RecordId
from sightstream.schemas.wire.question_answer import QuestionAnswer
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result import ImageResult
from tests.consumers.outcomes import answer, dead_record, result, result_record, result_v2
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


values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=strategies.SURROGATES), max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=strategies.SURROGATES), max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(values, st.none() | st.floats(0, 1))
def test_an_answer_of_version_2_keeps_its_value(
    tmp_path_factory: pytest.TempPathFactory, value: JsonValue, probability: float | None
) -> None:
    made = result_v2("r", "p", answer("look", value, probability, {"/a": 0.5}), answer("kind", "mug"))
    path = tmp_path_factory.getbasetemp() / "values.db"
    with Database(path) as database:
        database.restart(PartitionId("t", 0), 0)
        database.write([result_row(record(b"k", encode(made), SOURCE.headers()))], {})
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT value, confidence, json_valid(value) FROM answers ORDER BY number"
        ).fetchall()
        (whole,) = connection.execute("SELECT record FROM results").fetchone()
    assert [(json.loads(text), known) for text, known, _ in found] == [(value, probability), ("mug", None)]
    assert [valid for _, _, valid in found] == [1, 1]
    assert whole.encode() == encode(made)


def test_columns_of_version_1_have_the_only_answer() -> None:
    def columns(*answers: QuestionAnswer) -> dict[str, object]:
        row = result_row(record(b"k", encode(result_v2("r", "p", *answers, task="basics")), []))
        return {name: row.values[name] for name in ("question", "conclusion", "finish_reason", "complete", "task_name")}

    look = answer("look", {"colour": "red"})
    skipped = QuestionAnswer(id="kind", question="?", status="skipped")
    invalid = QuestionAnswer(id="kind", question="?", status="invalid", finish_reason="length")
    basics = {"task_name": "basics"}
    assert columns(look) == basics | {
        "question": "What about look?", "conclusion": '{"colour":"red"}', "finish_reason": "stop", "complete": 1
    }  # fmt: skip
    several = basics | {"question": "", "conclusion": "", "finish_reason": ""}
    assert columns(look, skipped) == several | {"complete": 1}
    assert columns(look, invalid) == several | {"complete": 0}
    assert columns(invalid) == basics | {"question": "?", "conclusion": "", "finish_reason": "length", "complete": 0}


def test_sections_of_version_2_stand_in_their_columns() -> None:
    sections = result().answer
    made = answer("answer", sections.conclusion).model_copy(update={"sections": sections})
    row = result_row(record(b"k", encode(result_v2("r", "p", made)), []))
    assert [row.values[name] for name in ("summary", "caption", "reasoning")] == ["s", "c", "r"]


def test_no_value_is_not_the_value_null() -> None:
    made = result_v2("r", "p", answer("price", None), QuestionAnswer(id="kind", question="?", status="invalid"))
    row = result_row(record(b"k", encode(made), []))
    assert [each["value"] for each in row.answers] == ["null", None]


def test_a_question_that_occurs_twice_is_kept_twice(tmp_path: Path) -> None:
    row = result_row(record(b"k", encode(result_v2("r", "p", answer("a", 1), answer("a", 2))), []))
    with Database(tmp_path / "r.db") as database:
        database.write([row, row], {})
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        assert connection.execute("SELECT value FROM answers ORDER BY number").fetchall() == [("1",), ("2",)]


@pytest.mark.parametrize(
    ("value", "table"),
    [
        (b'"\\u0000\\u001b[2J"', "results"),
        (b"9" * 4000, "results"),
        (b"[" * 55 + b"]" * 55, "results"),
        (b'"\\ud800"', "unreadable"),
        (b"9" * 5000, "unreadable"),
        (b"1e999", "unreadable"),
        (b"NaN", "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b'{"a":1,"a":2}', "unreadable"),
    ],
)
def test_hostile_values(tmp_path: Path, value: bytes, table: str) -> None:
    raw = encode(result_v2("r", "p", answer("q", "VALUE"))).replace(b'"value":"VALUE"', b'"value":' + value)
    row = result_row(record(b"k", raw, []))
    assert row.table == table
    with Database(tmp_path / "r.db") as database:
        database.write([row], {})
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        assert connection.execute("SELECT sum(json_valid(value)) FROM answers").fetchone() in ((1,), (None,))


def test_an_answers_number_too_large_for_the_database_is_unreadable() -> None:
    raw = encode(result_v2("r", "p", answer("q", 1))).replace(
        b'"completion":4},"cached"', b'"completion":%d},"cached"' % 10**25
    )
    assert result_row(record(b"k", raw, [])).table == "unreadable"


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
