"""Reads a results file while the store writes to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sightstream.consumers.store.errors import StoreError

Status = Literal["answered", "dead"]
_TABLE: dict[Status, str] = {"answered": "results", "dead": "dead_letters"}


@dataclass(frozen=True, slots=True)
class Filter:
    """Chooses outcomes; None means any. `product_id` also finds dead letters by key, when their value is unreadable."""

    product_id: str | None = None
    request_id: str | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome; `row` holds the columns of its table."""

    status: Status
    row: dict[str, str | int | float | bytes | None]


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
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
        self._connection.row_factory = sqlite3.Row
        self._path = path

    def close(self) -> None:
        self._connection.close()

    def outcomes(self, wanted: Filter, limit: int) -> list[Outcome]:
        """Return the newest `limit` outcomes that match, newest first."""
        where, values = _where(wanted)
        query = f'SELECT status, topic, partition, "offset" FROM outcomes {where} ' + (  # noqa: S608 - values are bound
            'ORDER BY recorded_ms DESC, topic, partition, "offset" DESC LIMIT ?'
        )
        return [self._outcome(row) for row in self._rows(query, (*values, limit))]

    def count(self, wanted: Filter) -> Counts:
        """Count everything that matches; unreadable records match only a filter without any condition."""
        where, values = _where(wanted)
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
        return Outcome(status, dict(next(self._rows(query, (at["topic"], at["partition"], at["offset"])))))

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> Iterator[sqlite3.Row]:
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path} can't be read as a results database: {error}") from error


def _where(wanted: Filter) -> tuple[str, tuple[object, ...]]:
    clauses: list[tuple[str, tuple[object, ...]]] = []
    if wanted.product_id is not None:
        clauses.append(('(product_id = ? OR "key" = ?)', (wanted.product_id, wanted.product_id.encode())))
    if wanted.request_id is not None:
        clauses.append(("request_id = ?", (wanted.request_id,)))
    if wanted.status is not None:
        clauses.append(("status = ?", (wanted.status,)))
    if not clauses:
        return "", ()
    return "WHERE " + " AND ".join(text for text, _ in clauses), tuple(v for _, values in clauses for v in values)
