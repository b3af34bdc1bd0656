"""Keeps rows and read positions in one SQLite file: both change in one transaction, or neither does."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import IO

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.private_files import NotPrivate, make_private_folder, open_private
from sightstream.consumers.store.batch import Position
from sightstream.consumers.store.errors import StoreBusy, StoreError, TopicReplaced
from sightstream.consumers.store.row import Row, Value


class Database:
    """The one writer of a results file. Raises StoreBusy when another process writes to it.

    Each call blocks for a disk write. Not thread safe. Raises sqlite3.Error when the disk fails, nothing half done.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _lock(path)
        try:
            self._connection = _open(path)
            migrate(self._connection)
        except sqlite3.DatabaseError as error:
            self._lock.close()
            raise StoreError(f"{path} can't be opened as a results database: {error}") from error

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    def check_topics(self, topic_ids: Mapping[str, str]) -> None:
        """Remember which topics these are. Raises TopicReplaced when the rows came from others of the same names."""
        known = dict(self._connection.execute("SELECT topic, topic_id FROM topics"))
        for topic, topic_id in topic_ids.items():
            if known.get(topic, topic_id) != topic_id:
                raise TopicReplaced(
                    f"the topic {topic} was deleted and created again since {self.path} was filled from it; "
                    f"rows of two topics must not mix: move {self.path} away, or set another path"
                )
        with self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO topics VALUES (?, ?)", topic_ids.items())

    def position(self, partition: PartitionId) -> Position | None:
        """Return how far the partition was read, None when it never was."""
        query = "SELECT next_offset, record_end, leader_epoch FROM positions WHERE topic = ? AND partition = ?"
        found = self._connection.execute(query, partition).fetchone()
        return None if found is None else Position(*found)

    def write(self, rows: Iterable[Row], positions: Mapping[PartitionId, Position]) -> None:
        """Write rows and positions together. A row that exists already stays as it is."""
        with self._connection:
            for row in rows:
                self._insert(row.table, row.values)
                for answer in row.answers:
                    self._insert("answers", answer)
            self._set_positions(positions)

    def restart(self, partition: PartitionId, offset: int) -> None:
        """Delete the rows at `offset` and beyond, so that they are read again."""
        with self._connection:
            for table in ("results", "answers", "dead_letters", "unreadable"):
                self._connection.execute(
                    f'DELETE FROM {table} WHERE topic = ? AND partition = ? AND "offset" >= ?',  # noqa: S608 - our names
                    (*partition, offset),
                )
            self._set_positions({partition: Position(offset)})

    def _insert(self, table: str, values: Mapping[str, Value]) -> None:
        columns = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        statement = f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - our names
        self._connection.execute(statement, tuple(values.values()))

    def _set_positions(self, positions: Mapping[PartitionId, Position]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO positions (topic, partition, next_offset, record_end, leader_epoch)"
            " VALUES (?, ?, ?, ?, ?)",
            [(*partition, at.next_offset, at.record_end, at.leader_epoch) for partition, at in positions.items()],
        )


def _open(path: Path) -> sqlite3.Connection:
    os.close(_open_private(path))  # SQLite would let others read it; its journals take the mode of the file
    connection = sqlite3.connect(path, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")  # readers never wait for the writer
    # After a power cut the last transactions may be lost, rows and positions together: they are read again.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _lock(path: Path) -> IO[bytes]:
    """Lock the file for this process; the system releases the lock when the process is killed."""
    handle = os.fdopen(_open_private(path.with_name(path.name + ".lock")), "rb")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise StoreBusy(f"another store writes to {path}; stop it, or choose another file with --path") from None
    return handle


def _open_private(path: Path) -> int:
    try:
        if path.parent != Path():  # the working folder is not ours to judge
            make_private_folder(path.parent)
        return open_private(path, os.O_RDWR)
    except NotPrivate as error:
        raise StoreError(f"{error}; remove it, or choose another file with --path") from None


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to the newest version, one numbered script at a time, each in a transaction of its own.

    Raises StoreError when the file was written by a newer version.
    """
    scripts = _migrations()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > max(scripts):
        raise StoreError(f"this database has schema {version}, this program knows {max(scripts)}; update Sightstream")
    for number in range(version + 1, max(scripts) + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{scripts[number]}\nPRAGMA user_version = {number};\nCOMMIT;")


def newest_schema() -> int:
    """Return the newest version of the schema that this program knows."""
    return max(_migrations())


def _migrations() -> dict[int, str]:
    folder = files("sightstream.consumers.store") / "migrations"
    named = [(re.match(r"(\d{4})_\w+\.sql$", entry.name), entry) for entry in folder.iterdir()]
    return {int(match[1]): entry.read_text(encoding="utf-8") for match, entry in named if match}
