"""Turns a record into a row: a result, a dead letter or, when it is neither, an unreadable record with the reason."""

from __future__ import annotations

import base64
import json

from sightstream.consumers.store.result_columns import answer_columns, result_columns
from sightstream.consumers.store.row import Record, Row, Table, Value
from sightstream.schemas.wire.codec import WireError, decode_request, decode_result
from sightstream.schemas.wire.dead_letter import Failure, RecordId, printable
from sightstream.schemas.wire.request import ImageRequest

_MAX_INTEGER = 2**63 - 1  # SQLite's

# Records that others wrote can raise these: a header of None has no decode(), the year 1 has no UTC.
_UNREADABLE = (WireError, KeyError, ValueError, AttributeError, TypeError, OverflowError)


def result_row(record: Record) -> Row:
    """Return the row of a result. Never raises: any other record becomes an `unreadable` row."""
    try:
        result = decode_result(record.value)
        whole: dict[str, Value] = {"record": (record.value or b"").decode()}
        answers = tuple(_position(record) | columns for columns in answer_columns(result))
        return _checked("results", _position(record) | _source(record) | result_columns(result) | whole, answers)
    except _UNREADABLE as error:
        return _unreadable(record, error)


def dead_letter_row(record: Record) -> Row:
    """Return the row of a dead letter. Never raises: any other record becomes an `unreadable` row."""
    try:
        failure = Failure.from_headers(record.headers)
        return _checked("dead_letters", _position(record) | _failure(failure) | _request(record) | _bytes(record))
    except _UNREADABLE as error:
        return _unreadable(record, error)


def _position(record: Record) -> dict[str, Value]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "recorded_ms": record.timestamp_ms,
    }


def _source(record: Record) -> dict[str, Value]:
    """Return the source columns, empty ones if the headers have no source: the answer is still an answer."""
    try:
        return _source_columns(RecordId.from_headers(record.headers))
    except _UNREADABLE:
        return dict.fromkeys(("source_topic", "source_partition", "source_offset"))


def _source_columns(source: RecordId) -> dict[str, Value]:
    return {
        "source_topic": source.topic,
        "source_partition": _integer(source.partition),
        "source_offset": _integer(source.offset),
    }


def _failure(failure: Failure) -> dict[str, Value]:
    return {
        "reason": str(failure.reason),
        "stage": str(failure.stage),
        "detail": failure.detail,
        "attempts": failure.attempts,
        "failed_at": failure.failed_at.isoformat(),
        **_source_columns(failure.source),
    }


def _request(record: Record) -> dict[str, Value]:
    request = _parsed(record.value)
    return {
        "request_id": request.request_id if request else None,
        "product_id": request.product_id if request else None,
    }


def _parsed(value: bytes | None) -> ImageRequest | None:
    try:
        return decode_request(value)
    except WireError:
        return None


def _bytes(record: Record) -> dict[str, Value]:
    headers = [[name, None if value is None else base64.b64encode(value).decode()] for name, value in record.headers]
    return {"key": record.key, "value": record.value, "headers": json.dumps(headers)}


def _unreadable(record: Record, error: Exception) -> Row:
    why = f"no header {error}" if isinstance(error, KeyError) else str(error)
    return Row("unreadable", _position(record) | {"why": printable(why)[:1000]} | _bytes(record))


def _checked(table: Table, values: dict[str, Value], answers: tuple[dict[str, Value], ...] = ()) -> Row:
    for columns in (values, *answers):
        for value in columns.values():
            if isinstance(value, int):
                _integer(value)
    return Row(table, values, answers)


def _integer(number: int) -> int:
    if abs(number) > _MAX_INTEGER:
        raise OverflowError("a number is too large for the database")
    return number
