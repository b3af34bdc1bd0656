"""A results file of the version before answers stood by question: opened once, it is as if written anew."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.errors import StoreError
from sightstream.consumers.store.filter import Filter
from sightstream.consumers.store.reader import StoreReader
from sightstream.consumers.store.row import Record
from sightstream.consumers.store.rows import result_row
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.result import ImageResult
from tests.schemas.wire import strategies

OLD = Path(__file__).parent / "fixtures" / "schema_2.sql"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.executescript(OLD.read_text(encoding="utf-8"))
    return tmp_path / "old.db"


def table(path: Path, name: str) -> list[dict[str, object]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f'SELECT * FROM {name} ORDER BY topic, partition, "offset"')  # noqa: S608
        return [dict(row) for row in found]


def records(path: Path) -> list[Record]:
    return [
        Record(row["topic"], row["partition"], row["offset"], row["recorded_ms"], b"k", row["record"].encode(), [])  # type: ignore[arg-type,attr-defined]
        for row in table(path, "results")
    ]


def test_old_rows_stay_and_have_the_answers_that_a_new_store_writes(path: Path, tmp_path: Path) -> None:
    before = {name: table(path, name) for name in ("results", "dead_letters", "unreadable")}
    Database(path).close()
    for name, rows in before.items():
        migrated = table(path, name)
        assert [{column: row[column] for column in old} for old, row in zip(rows, migrated, strict=True)] == rows
    assert len(before["results"]) == 3
    with Database(tmp_path / "new.db") as database:
        database.write([result_row(record) for record in records(path)], {})
    assert table(path, "answers") == table(tmp_path / "new.db", "answers")
    assert [row["cached"] for row in table(path, "answers")] == [0, 1, 0]


def test_the_positions_stay_so_nothing_is_read_again(path: Path) -> None:
    with Database(path) as database:
        position = database.position(PartitionId("image.results", 0))
    assert position is not None
    assert position.next_offset == 2


@given(strategies.results)
def test_the_script_writes_the_json_that_the_store_writes(result: ImageResult) -> None:
    row = result_row(Record("t", 0, 0, 1, b"k", encode(result), []))
    with closing(sqlite3.connect(":memory:")) as connection:
        (quoted,) = connection.execute("SELECT json_quote(?)", (result.answer.conclusion,)).fetchone()
    assert quoted == row.answers[0]["value"]
    assert json.loads(quoted) == result.answer.conclusion


def test_a_damaged_record_does_not_stop_it(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE results SET record = '{' WHERE request_id = 'r-1'")
    Database(path).close()
    assert [row["cached"] for row in table(path, "answers")] == [0, 0, 0]


def test_a_reader_of_an_old_file_shows_it_and_says_what_its_answers_need(path: Path) -> None:
    reader = StoreReader(path)
    assert [outcome.row["request_id"] for outcome in reader.outcomes(Filter(), 20)] == ["r-3", "r-2", "r-1", "r-0"]
    with pytest.raises(StoreError, match="start `sightstream store` once"):
        list(reader.outcomes(Filter(task="t"), 20))
    with pytest.raises(StoreError, match="start `sightstream store` once"):
        reader.count(Filter(min_confidence=0.5))
