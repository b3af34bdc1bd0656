"""Says what was found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from sightstream.infra.request_trace.types import Event, Reading, Trace
from sightstream.schemas.wire.dead_letter import printable

_STATES = {
    "answered": "answered",
    "dead": "a dead letter",
    "waiting": "published, and without an outcome yet",
    "unknown": "not found in what was read",
}


def document(trace: Trace) -> dict[str, object]:
    """Return what `--json` prints."""
    events = [{**asdict(event), "at": _iso(event.at)} for event in trace.events]
    readings = [
        {
            "topic": reading.partition.topic,
            "partition": reading.partition.partition,
            "start": reading.start,
            "end": reading.end,
            "records": reading.records,
            "oldest": _iso(reading.oldest),
            "removed_by_retention": reading.earliest,
        }
        for reading in trace.readings
    ]
    notes = list(trace.notes)
    return {"request_id": trace.request_id, "state": trace.state, "events": events, "read": readings, "notes": notes}


def lines(trace: Trace) -> Iterator[str]:
    """Yield the report, line by line; nothing in it can control a terminal."""
    yield f"{printable(trace.request_id)}: {_STATES[trace.state]}"
    first = next((event.at for event in trace.events if event.at is not None), None)
    for event in trace.events:
        yield printable(_line(event, first))
    yield from _read_lines(trace)
    yield from (f"note: {printable(note)}" for note in trace.notes)


def _line(event: Event, first: datetime | None) -> str:
    at = "no time" if event.at is None else event.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    after = "" if event.at is None or first is None else f"+{(event.at - first).total_seconds():.3f} s"
    details = ", ".join(f"{name} {_value(value)}" for name, value in event.details.items() if value is not None)
    return f"{at}  {after:>12}  {event.kind:<11}  {event.where}  {details}"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={one}" for name, one in value.items())
    return str(value)


def _read_lines(trace: Trace) -> Iterator[str]:
    """Say what was read, and what retention took before it could be."""
    topics = dict.fromkeys(reading.partition.topic for reading in trace.readings)
    for topic in topics:
        readings = [reading for reading in trace.readings if reading.partition.topic == topic]
        records = sum(reading.records for reading in readings)
        spans = ", ".join(f"{r.partition.partition}: {r.start} to {r.end}" for r in readings if r.start < r.end)
        yield f"read {topic}: {records} records (partition: offsets; {spans or 'nothing there'})"
        yield from (_removed(reading) for reading in readings if reading.earliest and reading.start == reading.earliest)


def _removed(reading: Reading) -> str:
    at = reading.partition
    until = f"; the oldest record left is of {_iso(reading.oldest)}" if reading.oldest else ""
    return f"retention has removed offsets 0 to {reading.earliest - 1} of {at.topic}/{at.partition}{until}"


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
