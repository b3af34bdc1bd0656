"""The SQL on the page about structured answers runs on a results file, and finds what the page promises."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sightstream.consumers.store.database import Database
from sightstream.consumers.store.row import Record
from sightstream.consumers.store.rows import result_row
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.question_answer import QuestionAnswer
from tests.consumers.outcomes import answer, result, result_v2
from tests.readme.pages import ROOT, blocks

PAGE = ROOT / "docs/how-to/read-structured-answers.md"
BY_FIELD, LEAST_SURE, NEWEST, WITHOUT_VALUE = blocks(PAGE, "sql")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    results = [
        result_v2("r-0", "p-0", answer("kind", "bag", 0.9)),
        result_v2("r-1", "p-0", answer("kind", "mug", 0.9), answer("look", {"colour": "red"}, 0.7, {"/colour": 0.75})),
        result_v2("r-2", "p-2", answer("kind", "mug", 0.9), answer("look", {"colour": "blue"}, 0.6, {"/colour": 0.5})),
        result_v2("r-3", "p-3", answer("kind", "cup"), QuestionAnswer(id="look", question="?", status="skipped")),
        result("r-4", "p-4"),
    ]
    with Database(tmp_path / "r.db") as database:
        rows = [result_row(Record("t", 0, n, n, b"k", encode(each), [])) for n, each in enumerate(results)]
        database.write(rows, {})
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        yield connection


def test_by_field(connection: sqlite3.Connection) -> None:
    assert connection.execute(BY_FIELD).fetchall() == [("p-0", "red", 0.7)]


def test_the_least_sure_field_first(connection: sqlite3.Connection) -> None:
    assert connection.execute(LEAST_SURE).fetchall() == [("p-2", "blue", 0.5), ("p-0", "red", 0.75)]


def test_one_row_a_product(connection: sqlite3.Connection) -> None:
    newest = [("p-0", 1, "mug"), ("p-2", 2, "mug"), ("p-3", 3, "cup"), ("p-4", 4, None)]
    assert connection.execute(NEWEST).fetchall() == newest


def test_what_has_no_value(connection: sqlite3.Connection) -> None:
    assert connection.execute(WITHOUT_VALUE).fetchall() == [("look", "skipped", 1)]
