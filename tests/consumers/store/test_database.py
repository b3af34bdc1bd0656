"""Rows and positions change together, and one process writes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sightstream.consumers import store
from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.batch import Position
from sightstream.consumers.store.database import Database, migrate
from sightstream.consumers.store.errors import StoreBusy, StoreError, TopicReplaced
from sightstream.consumers.store.row import Record, Row
from sightstream.consumers.store.rows import dead_letter_row, result_row
from sightstream.schemas.wire.dead_letter import RecordId
from tests.consumers.outcomes import dead_record, result_record

PARTITION = PartitionId("t", 0)


def row(offset: int) -> Row:
    key, value, headers = result_record(f"r-{offset}", "p", RecordId("q", 0, offset))
    return result_row(Record("t", 0, offset, 1, key, value, headers))


def offsets(path: Path) -> list[int]:
    return [found for (found,) in sqlite3.connect(path).execute('SELECT "offset" FROM results ORDER BY 1')]


def test_rows_and_position_stay(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.db"
    with Database(path) as database:
        assert database.position(PARTITION) is None
        database.write([row(0), row(1)], {PARTITION: Position(2)})
    with Database(path) as database:
        assert database.position(PARTITION) == Position(2)
    assert offsets(path) == [0, 1]


def test_a_failing_row_leaves_neither_rows_nor_position(tmp_path: Path) -> None:
    with Database(tmp_path / "r.db") as database:
        database.write([row(0)], {PARTITION: Position(1)})
        with pytest.raises(sqlite3.Error):
            database.write([row(1), Row("results", {"topic": "t"})], {PARTITION: Position(3)})
        assert database.position(PARTITION) == Position(1)
    assert offsets(tmp_path / "r.db") == [0]


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    dead = dead_letter_row(Record("d", 0, 0, 1, *dead_record("r", "p", RecordId("q", 0, 0))))
    with Database(tmp_path / "r.db") as database:
        database.write([row(0), dead], {PARTITION: Position(1)})
        before = list(sqlite3.connect(tmp_path / "r.db").iterdump())
        database.write([row(0), dead], {PARTITION: Position(1)})
    assert list(sqlite3.connect(tmp_path / "r.db").iterdump()) == before


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with Database(tmp_path / "r.db"), pytest.raises(StoreBusy, match="another store"):
        Database(tmp_path / "r.db")
    Database(tmp_path / "r.db").close()


def test_a_topic_created_again_is_refused(tmp_path: Path) -> None:
    with Database(tmp_path / "r.db") as database:
        database.check_topics({"t": "one", "u": "two"})
        database.check_topics({"t": "one"})
        with pytest.raises(TopicReplaced, match="t was deleted"):
            database.check_topics({"t": "other"})


def test_restart_forgets_what_is_read_anew(tmp_path: Path) -> None:
    with Database(tmp_path / "r.db") as database:
        database.write([row(n) for n in range(5)], {PARTITION: Position(5)})
        database.restart(PARTITION, 3)
        assert database.position(PARTITION) == Position(3)
    assert offsets(tmp_path / "r.db") == [0, 1, 2]
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        assert connection.execute('SELECT "offset" FROM answers ORDER BY 1').fetchall() == [(0,), (1,), (2,)]


def test_positions_of_an_older_version_are_kept(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "r.db", isolation_level=None)
    (first,) = (file for file in (Path(store.__file__).parent / "migrations").iterdir() if file.name.startswith("0001"))
    old.executescript(first.read_text())
    old.executescript("PRAGMA user_version = 1; INSERT INTO positions VALUES ('t', 0, 7);")
    old.close()
    with Database(tmp_path / "r.db") as database:
        assert database.position(PartitionId("t", 0)) == Position(7)
        database.write([], {PartitionId("t", 0): Position(9, 8, 4)})
        assert database.position(PartitionId("t", 0)) == Position(9, 8, 4)


def test_a_file_from_the_future_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "r.db")
    migrate(connection)
    migrate(connection)  # nothing left to do
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StoreError, match="999"):
        Database(tmp_path / "r.db")


def test_a_file_that_is_no_database_is_refused_and_released(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 30)
    for _ in range(2):  # the second try fails in the same way: the lock was released
        with pytest.raises(StoreError, match="can't be opened"):
            Database(path)


def test_rows_are_for_this_user_alone(tmp_path: Path) -> None:
    """Dead letters hold presigned addresses."""
    before = os.umask(0o022)
    path = tmp_path / "deep" / "results.db"
    try:
        with Database(path) as database:
            database.write([row(0)], {PARTITION: Position(1)})
            modes = {file.name: file.stat().st_mode & 0o777 for file in [path.parent, *path.parent.iterdir()]}
    finally:
        os.umask(before)
    assert modes.pop("deep") == 0o700
    assert set(modes) == {"results.db", "results.db-wal", "results.db-shm", "results.db.lock"}
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("name", ["results.db", "results.db.lock"])
def test_a_link_in_place_of_a_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "victim").touch()
    (tmp_path / name).symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError, match=r"can't be opened: .*--path"):
        Database(tmp_path / "results.db")
    assert (tmp_path / "victim").read_bytes() == b""
