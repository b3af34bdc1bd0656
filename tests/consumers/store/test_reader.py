"""`StoreReader` finds the rows that `Database` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from sightstream.consumers.store.condition import Condition, parse_condition
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.errors import StoreError
from sightstream.consumers.store.filter import Filter
from sightstream.consumers.store.reader import Counts, Order, StoreReader
from sightstream.consumers.store.row import Record
from sightstream.consumers.store.rows import dead_letter_row, result_row
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.question_answer import Confidence, QuestionAnswer
from tests.consumers.outcomes import answer, dead_record, result, result_record, result_v2


@pytest.fixture
def reader(tmp_path: Path) -> StoreReader:
    def source(offset: int) -> RecordId:
        return RecordId("q", 0, offset)

    key, _, headers = dead_record("r-5", "p-5", source(5))
    rows = [
        result_row(Record("t", 0, 0, 10, *result_record("r-0", "p-0", source(0)))),
        result_row(Record("t", 0, 1, 40, *result_record("r-1", "p-0", source(1)))),
        result_row(Record("t", 1, 0, 30, *result_record("r-2", "p-2", source(2)))),
        dead_letter_row(Record("d", 0, 0, 20, *dead_record("r-3", "p-0", source(3)))),
        dead_letter_row(Record("d", 0, 1, 50, key, b"garbage", headers)),
        result_row(Record("t", 0, 2, 60, b"k", b"not a result", [])),
    ]
    with Database(tmp_path / "r.db") as database:
        database.write(rows, {})
    return StoreReader(tmp_path / "r.db")


def found(reader: StoreReader, wanted: Filter, limit: int = 100) -> list[tuple[str, object]]:
    return [(outcome.status, outcome.row["request_id"]) for outcome in reader.outcomes(wanted, limit)]


def test_newest_first(reader: StoreReader) -> None:
    everything = [("dead", None), ("answered", "r-1"), ("answered", "r-2"), ("dead", "r-3"), ("answered", "r-0")]
    assert found(reader, Filter()) == everything
    assert found(reader, Filter(), limit=2) == everything[:2]


def test_filters(reader: StoreReader) -> None:
    assert found(reader, Filter(product_id="p-0")) == [("answered", "r-1"), ("dead", "r-3"), ("answered", "r-0")]
    assert found(reader, Filter(product_id="p-0", status="dead")) == [("dead", "r-3")]
    assert found(reader, Filter(request_id="r-2")) == [("answered", "r-2")]
    assert found(reader, Filter(product_id="nobody")) == []


def test_a_dead_letter_with_an_unreadable_request_is_found_by_its_key(reader: StoreReader) -> None:
    assert found(reader, Filter(product_id="p-5")) == [("dead", None)]


def test_counts(reader: StoreReader) -> None:
    assert reader.count(Filter()) == Counts(answered=3, dead=2, unreadable=1, duplicates=0)
    assert reader.count(Filter(product_id="p-0")) == Counts(answered=2, dead=1, unreadable=0, duplicates=0)


def sure(value: JsonValue, probability: float | None, question: str = "kind") -> QuestionAnswer:
    return answer(question, value, probability)


UNANSWERED = {
    status: QuestionAnswer(id="look", question="?", status=status, confidence=Confidence(kind="path", value=0.1))
    for status in ("invalid", "skipped", "refused")
}


@pytest.fixture
def answered(tmp_path: Path) -> StoreReader:
    """Results of version 2 and one of version 1, the newest last."""
    results = [
        result_v2("r-0", "p-0", sure("mug", 0.9), sure({"colour": "red"}, 0.6, "look"), task="basics"),
        result_v2("r-1", "p-1", sure("cup", 0.99), UNANSWERED["skipped"], task="basics"),
        result_v2("r-2", "p-2", sure("mug", 0.8), UNANSWERED["invalid"]),
        result_v2("r-3", "p-3", sure("mug", 0.95), UNANSWERED["refused"]),
        result_v2("r-4", "p-4", sure("mug", None)),
        result("r-5", "p-5", conclusion="mug"),
    ]
    rows = [result_row(Record("t", 0, n, n, b"k", encode(each), [])) for n, each in enumerate(results)]
    dead = dead_letter_row(Record("t", 0, 0, 9, *dead_record("dead", "p", RecordId("q", 0, 9))))
    with Database(tmp_path / "r.db") as database:
        database.write([*rows, dead], {})
    return StoreReader(tmp_path / "r.db")


def ids(reader: StoreReader, order: Order = "newest", limit: int = 100, **wanted: Any) -> list[str]:
    return [str(outcome.row["request_id"]) for outcome in reader.outcomes(Filter(**wanted), limit, order)]


def conditions(*texts: str) -> tuple[Condition, ...]:
    return tuple(map(parse_condition, texts))


def test_conditions_on_answers(answered: StoreReader) -> None:
    assert ids(answered, conditions=conditions("kind=mug")) == ["r-4", "r-3", "r-2", "r-0"]
    assert ids(answered, conditions=conditions("kind=mug", "look.colour=red")) == ["r-0"]
    assert ids(answered, conditions=conditions("answer=mug")) == ["r-5"]
    assert ids(answered, conditions=conditions("look.colour!=blue"), product_id="p-1") == []
    assert ids(answered, conditions=conditions("nobody=mug")) == []
    assert answered.count(Filter(conditions=conditions("kind=mug"))) == Counts(4, 0, 0, 0)


def test_least_confidence_counts_every_question_that_was_asked(answered: StoreReader) -> None:
    assert ids(answered, min_confidence=0.5) == ["r-1", "r-0"]
    assert ids(answered, min_confidence=0.7) == ["r-1"]
    assert ids(answered, min_confidence=0) == ["r-1", "r-0"]


def test_the_least_sure_come_first(answered: StoreReader) -> None:
    assert ids(answered, "least_sure") == ["r-0", "r-2", "r-3", "r-1"]
    assert ids(answered, "least_sure", limit=1) == ["r-0"]
    assert ids(answered, "least_sure", conditions=conditions("kind=mug")) == ["r-0", "r-2", "r-3"]


def test_a_task(answered: StoreReader) -> None:
    assert ids(answered, task="basics") == ["r-1", "r-0"]
    assert ids(answered, task="other") == []


def test_questions_have_names(answered: StoreReader) -> None:
    assert answered.question_ids() == ["answer", "kind", "look"]


@pytest.mark.parametrize("text", ["x' OR 1=1 --", '"; DROP TABLE results; --', "%", "mug' --", "*"])
def test_no_text_becomes_sql(answered: StoreReader, text: str) -> None:
    assert ids(answered, product_id=text) == ids(answered, request_id=text) == ids(answered, task=text) == []
    assert ids(answered, conditions=conditions(f"kind={text}")) == []
    quoted = text.replace(".", "").replace("=", "")
    assert ids(answered, conditions=conditions(f"look.{quoted}=red")) == []
    assert len(ids(answered)) == 7


def test_a_snapshot_does_not_see_what_is_written_meanwhile(answered: StoreReader, tmp_path: Path) -> None:
    with answered.snapshot():
        before = ids(answered)
        row = result_row(Record("t", 0, 99, 99, b"k", encode(result("r-99")), []))
        with Database(tmp_path / "r.db") as database:
            database.write([row], {})
        assert ids(answered) == before
    assert ids(answered) == ["r-99", *before]


def test_two_outcomes_of_one_request_are_counted_as_duplicates(tmp_path: Path) -> None:
    once = result_row(Record("t", 0, 0, 10, *result_record("r-0", "p-0", RecordId("q", 0, 0))))
    again = dead_letter_row(Record("d", 0, 0, 10, *dead_record("r-0", "p-0", RecordId("q", 0, 0))))
    with Database(tmp_path / "r.db") as database:
        database.write([once, again], {})
    assert StoreReader(tmp_path / "r.db").count(Filter()).duplicates == 1


def test_no_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="sightstream store"):
        StoreReader(tmp_path / "none.db")


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"x" * 5000)
    with pytest.raises(StoreError, match="can't be read"):
        StoreReader(tmp_path / "x.db").count(Filter())
