"""Reads a results file while the store writes to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sightstream.consumers.store.condition import value_holds
from sightstream.consumers.store.errors import StoreError
from sightstream.consumers.store.filter import ANSWERS, Filter, Status
from sightstream.consumers.store.row import Value

Order = Literal["newest", "least_sure"]
Columns = dict[str, Value]

_TABLE: dict[Status, str] = {"answered": "results", "dead": "dead_letters"}
_SCHEMA_WITH_ANSWERS = 3
_NEWEST = 'recorded_ms DESC, topic, partition, "offset" DESC'
_LEAST = f"(SELECT min(a.confidence) FROM {ANSWERS} AND a.status = 'answered')"  # noqa: S608 - no value in it


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome; `row` holds the columns of its table."""

    status: Status
    row: Columns


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of rows. `duplicates` counts outcomes beyond the first for one request record; it should be 0."""

    answered: int
    dead: int
    unreadable: int
    duplicates: int


class StoreReader:
    """Reads one results file. Raises StoreError when it is missing, damaged or not a results database."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StoreError(
                f"there is no results database at {path}; run `sightstream store`, or choose a file with --path"
            )
        try:
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
        except sqlite3.Error as error:
            raise StoreError(f"{path} can't be opened: {error}") from error
        self._connection.row_factory = sqlite3.Row
        self._connection.create_function("value_holds", 2, value_holds, deterministic=True)
        self._path = path

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read the file as it is now while the block runs, whatever the store writes meanwhile."""
        next(self._rows("BEGIN"), None)
        try:
            yield
        finally:
            self._connection.rollback()

    def outcomes(self, wanted: Filter, limit: int | None, order: Order = "newest") -> Iterator[Outcome]:
        """Yield the first `limit` outcomes that match: the newest, or the results with the least sure answers.

        "least_sure" orders results by the lowest probability among their good answers; those without any are left out.
        """
        if wanted.needs_answers or order == "least_sure":
            self._check_has_answers()
        where, values = wanted.where()
        if order == "least_sure":
            where = f"{where} {'AND' if where else 'WHERE'} {_LEAST} IS NOT NULL"
        by = _NEWEST if order == "newest" else f"{_LEAST}, {_NEWEST}"
        query = f'SELECT status, topic, partition, "offset" FROM outcomes {where} ORDER BY {by} LIMIT ?'  # noqa: S608
        for row in self._rows(query, (*values, -1 if limit is None else limit)):
            yield self._outcome(row)

    def answers(self, outcome: Outcome) -> list[Columns]:
        """Return the rows of a result's questions, in their order; none for a dead letter."""
        if outcome.status == "dead":
            return []
        query = 'SELECT * FROM answers WHERE topic = ? AND partition = ? AND "offset" = ? ORDER BY number'
        return [dict(row) for row in self._rows(query, tuple(outcome.row[name] for name in _COORDINATES))]

    def question_ids(self) -> list[str]:
        """Return the ids of all questions that have answers."""
        self._check_has_answers()
        return [row[0] for row in self._rows("SELECT DISTINCT question_id FROM answers ORDER BY 1")]

    def count(self, wanted: Filter) -> Counts:
        """Count everything that matches; unreadable records match only a filter without any condition."""
        if wanted.needs_answers:
            self._check_has_answers()
        where, values = wanted.where()
        by_status = f"SELECT status, count(*) FROM outcomes {where} GROUP BY status"  # noqa: S608 - values are bound
        repeats = f"""SELECT coalesce(sum(n - 1), 0) FROM (
            SELECT count(*) AS n FROM outcomes {where} {"AND" if where else "WHERE"} source_topic IS NOT NULL
            GROUP BY source_topic, source_partition, source_offset HAVING n > 1)"""  # noqa: S608 - values are bound
        found: dict[str, int] = {row[0]: row[1] for row in self._rows(by_status, values)}
        unreadable = "SELECT count(*) FROM unreadable" if wanted == Filter() else "SELECT 0"
        return Counts(
            answered=found.get("answered", 0),
            dead=found.get("dead", 0),
            unreadable=next(self._rows(unreadable))[0],
            duplicates=next(self._rows(repeats, values))[0],
        )

    def _outcome(self, at: sqlite3.Row) -> Outcome:
        status: Status = at["status"]
        query = f'SELECT * FROM {_TABLE[status]} WHERE topic = ? AND partition = ? AND "offset" = ?'  # noqa: S608
        return Outcome(status, dict(next(self._rows(query, tuple(at[name] for name in _COORDINATES)))))

    def _check_has_answers(self) -> None:
        version = next(self._rows("PRAGMA user_version"))[0]
        if version < _SCHEMA_WITH_ANSWERS:
            raise StoreError(
                f"{self._path} was written by an earlier version, which kept no answers by question; "
                f"start `sightstream store` once, which adds them"
            )

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> Iterator[sqlite3.Row]:
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path} can't be read as a results database: {error}") from error


_COORDINATES = ("topic", "partition", "offset")
