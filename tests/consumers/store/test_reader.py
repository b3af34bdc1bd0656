"""`StoreReader` finds the rows that `Database` wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.consumers.store.database import Database
from sightstream.consumers.store.errors import StoreError
from sightstream.consumers.store.reader import Counts, Filter, StoreReader
from sightstream.consumers.store.rows import Record, dead_letter_row, result_row
from sightstream.schemas.wire.dead_letter import RecordId
from tests.consumers.outcomes import dead_record, result_record


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
