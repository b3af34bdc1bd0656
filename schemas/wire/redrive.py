"""Defines what redriving writes: the history in a request's headers, and the marker of a redriven dead letter.

A dead letter is named by its coordinates and by the id of its topic, because the coordinates of a topic that was
deleted and created again name other records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError

from sightstream.schemas.wire.dead_letter import CODE_PATTERN, HEADER_PREFIX, Failure, Headers, RecordId
from sightstream.schemas.wire.text import Identifier
from sightstream.schemas.wire.wire_model import WireModel

HISTORY_PREFIX = HEADER_PREFIX + "redrive-"
_COORDINATES = re.compile(r"([a-zA-Z0-9._-]{1,249})/([0-9]{1,10})/([0-9]{1,19})")
_LETTER = re.compile(r"([a-zA-Z0-9._-]{1,249})/([a-zA-Z0-9_-]{1,64})/([0-9]{1,10})/([0-9]{1,19})")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")
_HISTORY = ("count", "letter", "first-source", "first-reason", "first-failed-at")

MarkerState = Literal["redriven", "parked"]


@dataclass(frozen=True, slots=True)
class LetterId:
    """Names one dead letter for ever. `topic_id` is the id that Kafka gave to its topic, as Kafka's tools print it.

    Raises ValueError for what str() could not write so that parse() reads it again: a marker that nobody recognises
    would let its letter be redriven twice.
    """

    topic: str
    topic_id: str
    partition: int
    offset: int

    def __post_init__(self) -> None:
        if not _LETTER.fullmatch(str(self)):
            raise ValueError("not the coordinates of a dead letter")

    def __str__(self) -> str:
        return f"{self.topic}/{self.topic_id}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> LetterId:
        """Return what str() wrote. Raises ValueError for other text."""
        match = _LETTER.fullmatch(text)
        if match is None:
            raise ValueError("not the coordinates of a dead letter")
        topic, topic_id, partition, offset = match.groups()
        return cls(topic, topic_id, int(partition), int(offset))


class RedriveMarker(WireModel):
    """What became of a dead letter; the key of its record is the letter's LetterId as text."""

    schema_version: Literal[1] = Field(default=1, description="Version of this schema.")
    state: MarkerState = Field(
        description="redriven: published again, in the same transaction as this marker. parked: failed again after "
        "too many redrives."
    )
    redrives: int = Field(ge=0, description="How often the request had been redriven, this time included.")
    run: Identifier = Field(description="Id of the run of the command that wrote this.")
    at: AwareDatetime = Field(description="When it was written.")


def decode_marker(value: bytes) -> RedriveMarker:
    """Return the marker. Raises ValueError for anything else."""
    try:
        return RedriveMarker.model_validate_json(value, strict=True)
    except ValidationError as error:
        raise ValueError(f"not a marker of a redrive: {error.errors(include_input=False)[0]['msg']}") from None


@dataclass(frozen=True, slots=True)
class History:
    """What a redriven request brings along: how often it was redriven, from where, and how it failed first.

    The worker copies it to the result or the dead letter, so it outlives any number of failures. A publisher could
    forge it, and would only have its own request parked early.
    """

    count: int
    letter: LetterId
    first_source: RecordId
    first_reason: str
    first_failed_at: datetime

    def headers(self) -> Headers:
        """Return the headers of the request, of its result and of its next dead letter."""
        source = self.first_source
        return [
            (HISTORY_PREFIX + "count", str(self.count).encode()),
            (HISTORY_PREFIX + "letter", str(self.letter).encode()),
            (HISTORY_PREFIX + "first-source", f"{source.topic}/{source.partition}/{source.offset}".encode()),
            (HISTORY_PREFIX + "first-reason", self.first_reason.encode()),
            (HISTORY_PREFIX + "first-failed-at", self.first_failed_at.isoformat().encode()),
        ]

    @classmethod
    def from_headers(cls, headers: Headers) -> History | None:
        """Return what headers() wrote, None for a record that was never redriven or whose history makes no sense."""
        found = {name: value or b"" for name, value in headers if name.startswith(HISTORY_PREFIX)}
        if not found:
            return None
        try:
            return _parse({name: found[HISTORY_PREFIX + name].decode("ascii") for name in _HISTORY})
        except (KeyError, ValueError):
            return None

    @classmethod
    def next_of(cls, letter: LetterId, failure: Failure, before: History | None) -> History:
        """Return the history of the request that redrives `letter`, whose own history is `before`."""
        if before is None:
            return cls(1, letter, failure.source, str(failure.reason), failure.failed_at)
        return cls(before.count + 1, letter, before.first_source, before.first_reason, before.first_failed_at)


def history_headers(headers: Headers) -> Headers:
    """Return the headers that a result or dead letter keeps of its request's history, none if there is no history."""
    history = History.from_headers(headers)
    return history.headers() if history else []


def _parse(found: dict[str, str]) -> History:
    source = _COORDINATES.fullmatch(found["first-source"])
    if not _COUNT.fullmatch(found["count"]) or not re.fullmatch(CODE_PATTERN, found["first-reason"]) or source is None:
        raise ValueError("not the history of a redrive")
    return History(
        count=int(found["count"]),
        letter=LetterId.parse(found["letter"]),
        first_source=RecordId(source[1], int(source[2]), int(source[3])),
        first_reason=found["first-reason"],
        first_failed_at=datetime.fromisoformat(found["first-failed-at"]),
    )
