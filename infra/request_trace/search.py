"""Finds everything about one request: its records, its outcomes, what redrives did, and its rows in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sightstream.consumers.kafka.types import MissingTopic
from sightstream.consumers.redrive.letter import Record, parse_letter, request_of
from sightstream.consumers.store.errors import StoreError
from sightstream.consumers.store.filter import Filter
from sightstream.consumers.store.reader import StoreReader
from sightstream.infra.request_trace.topics import TopicRecord, TopicSource
from sightstream.infra.request_trace.types import Event, Kind, Reading, State, Trace
from sightstream.schemas.wire.codec import WireError, decode_result
from sightstream.schemas.wire.dead_letter import Headers, RecordId
from sightstream.schemas.wire.redrive import History, LetterId, decode_marker
from sightstream.schemas.wire.result_v2 import AnyResult
from sightstream.schemas.wire.topics import TopicSettings, record_key
from sightstream.schemas.wire.trace_context import trace_context

_MAX_ROWS = 1000
_COORDINATES = ("topic", "partition", "offset")


@dataclass(slots=True)
class Search:
    """Looks for `request_id` among the records of `product`, from `since` on; None means all."""

    source: TopicSource
    topics: TopicSettings
    request_id: str
    product: str | None = None
    since: datetime | None = None
    _events: list[Event] = field(default_factory=list)
    _readings: list[Reading] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)
    _requests: list[RecordId] = field(default_factory=list)
    _ends: dict[RecordId, State] = field(default_factory=dict)  # by the request's record
    _letters: set[RecordId] = field(default_factory=set)

    def run(self, database: Path) -> Trace:
        """Read topics and store. Blocks. Raises KafkaReadError."""
        key = None if self.product is None else record_key(self.product)
        self._read(self.topics.requests, self._add_request, key, self.since)
        self._read(self.topics.results, self._add_result, key, self.since)
        self._read(self.topics.dead_letters, self._add_dead_letter, key, self.since)
        if self._letters:
            self._read(self.topics.redrives, self._add_marker)
        self._add_rows(database)
        events = sorted(self._events, key=lambda event: event.at or datetime.min.replace(tzinfo=UTC))
        return Trace(self.request_id, self._state(), tuple(events), tuple(self._readings), tuple(self._notes))

    def _state(self) -> State:
        if self._requests:
            return self._ends.get(self._requests[-1], "waiting")
        return next(reversed(self._ends.values()), "unknown")  # the request itself has left its topic

    def _read(
        self,
        topic: str,
        add: Callable[[TopicRecord], None],
        key: bytes | None = None,
        since: datetime | None = None,
    ) -> None:
        try:
            readings = self.source.readings(topic, key, since)
        except MissingTopic:
            self._notes.append(f"the topic {topic} does not exist")
            return
        self._readings += readings
        for record in self.source.read(readings):
            add(record)

    # --- records --------------------------------------------------------------------------------------------

    def _add_request(self, record: TopicRecord) -> None:
        if not self._may_be(record) or (request := request_of(record.value)) is None:
            return
        if request.request_id == self.request_id:
            self._requests.append(record.at)
            details = {"product_id": request.product_id, **_trace_id(record.headers), **_history(record.headers)}
            self._add("request", record, details)

    def _add_result(self, record: TopicRecord) -> None:
        source = _source(record.headers)
        if source not in self._requests and not self._may_be(record):
            return
        if (result := _result(record.value)) is not None and result.request_id == self.request_id:
            self._end(source or record.at, "answered")
            details = {
                "source": _text(source),
                "completed_at": result.completed_at.isoformat(),
                "seconds": result.seconds.model_dump(),
                "cached": result.cached,
                "model": result.model.name,
                **_trace_id(record.headers),
                **_history(record.headers),
            }
            self._add("result", record, details)

    def _add_dead_letter(self, record: TopicRecord) -> None:
        source = _source(record.headers)
        if source not in self._requests and not self._may_be(record):
            return
        letter = parse_letter(Record(record.at, record.key, record.value, record.headers))
        if letter is None or (source not in self._requests and not self._is_request(record.value)):
            return
        failure = letter.failure
        self._end(failure.source, "dead")
        self._letters.add(record.at)
        details = {
            "source": _text(failure.source),
            "reason": str(failure.reason),
            "stage": str(failure.stage),
            "detail": failure.detail,
            "attempts": failure.attempts,
            "failed_at": failure.failed_at.isoformat(),
            **_trace_id(record.headers),
            **_history(record.headers),
        }
        self._add("dead_letter", record, details)

    def _add_marker(self, record: TopicRecord) -> None:
        """Keep what a redrive wrote about one of the dead letters."""
        try:
            letter = LetterId.parse((record.key or b"").decode("ascii"))
            if record.value is None or RecordId(letter.topic, letter.partition, letter.offset) not in self._letters:
                return
            marker = decode_marker(record.value)
        except ValueError:
            return  # another program's, or a later version's
        details = {"letter": f"{letter.topic}/{letter.partition}/{letter.offset}", "run": marker.run}
        self._add("redrive", record, {**details, "state": marker.state, "redrives": marker.redrives})

    def _may_be(self, record: TopicRecord) -> bool:
        """Return whether it is worth parsing. An id may be written with escapes."""
        if self.product is not None:
            return record.key == record_key(self.product)
        value = record.value or b""
        return self.request_id.encode() in value or b"\\u" in value

    def _is_request(self, value: bytes | None) -> bool:
        request = request_of(value)
        return request is not None and request.request_id == self.request_id

    def _end(self, source: RecordId, state: State) -> None:
        self._ends.pop(source, None)
        self._ends[source] = state

    def _add(self, kind: Kind, record: TopicRecord, details: dict[str, object]) -> None:
        self._events.append(Event(kind, record.time, record.where, details))

    # --- rows -----------------------------------------------------------------------------------------------

    def _add_rows(self, database: Path) -> None:
        """Keep the rows of the results database; without one a note says so."""
        try:
            reader = StoreReader(database)
        except StoreError as error:
            self._notes.append(str(error))
            return
        try:
            for outcome in reader.outcomes(Filter(product_id=self.product, request_id=self.request_id), _MAX_ROWS):
                row = outcome.row
                at = datetime.fromtimestamp(int(str(row["recorded_ms"])) / 1000, UTC)
                details = {"record": "/".join(str(row[name]) for name in _COORDINATES), "database": str(database)}
                table = "results" if outcome.status == "answered" else "dead_letters"
                self._events.append(Event("row", at, table, details))
        except StoreError as error:
            self._notes.append(str(error))
        finally:
            reader.close()


def _source(headers: Headers) -> RecordId | None:
    try:
        return RecordId.from_headers(headers)
    except (KeyError, ValueError):
        return None


def _text(at: RecordId | None) -> str | None:
    return None if at is None else f"{at.topic}/{at.partition}/{at.offset}"


def _result(value: bytes | None) -> AnyResult | None:
    try:
        return decode_result(value)
    except WireError:
        return None


def _trace_id(headers: Headers) -> dict[str, object]:
    context = trace_context(headers)
    return {} if context is None else {"trace_id": f"{context.trace_id:032x}"}


def _history(headers: Headers) -> dict[str, object]:
    """Return what a redriven request brings along."""
    history = History.from_headers(headers)
    if history is None:
        return {}
    return {
        "redrives": history.count,
        "redriven_from": f"{history.letter.topic}/{history.letter.partition}/{history.letter.offset}",
        "first_reason": history.first_reason,
    }
