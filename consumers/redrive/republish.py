"""Makes the records of one transaction: each request again, byte for byte, and the marker of its letter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sightstream.consumers.redrive.letter import DeadLetter, Record
from sightstream.consumers.redrive.protocol import OutgoingRecord
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import original_headers
from sightstream.schemas.wire.redrive import History, LetterId, MarkerState, RedriveMarker
from sightstream.schemas.wire.topics import TopicSettings


@dataclass(frozen=True, slots=True)
class Redrive:
    """A letter that was decided on. `original` is published again; without it the letter is only parked."""

    letter: DeadLetter
    original: Record | None

    @property
    def size(self) -> int:
        """The bytes that it adds to a transaction, headers left out."""
        return len(self.original.key or b"") + len(self.original.value or b"") if self.original else 0


@dataclass(frozen=True, slots=True)
class RecordMaker:
    """Knows the topics and the run that the records belong to."""

    topics: TopicSettings
    topic_id: str
    run: str

    def records(self, redrive: Redrive, now: datetime) -> Iterator[OutgoingRecord]:
        """Yield the request, if it is published again, and then the marker: one without the other must never go out."""
        at = redrive.letter.record.at
        letter = LetterId(at.topic, self.topic_id, at.partition, at.offset)
        if redrive.original is not None:
            yield self._request(redrive.letter, redrive.original, letter)
        state: MarkerState = "parked" if redrive.original is None else "redriven"
        count = redrive.letter.redrives + (redrive.original is not None)
        marker = RedriveMarker(state=state, redrives=count, run=self.run, at=now)
        yield OutgoingRecord(self.topics.redrives, str(letter).encode(), encode(marker), [])

    def _request(self, dead: DeadLetter, original: Record, letter: LetterId) -> OutgoingRecord:
        history = History.next_of(letter, dead.failure, dead.history)
        headers = original_headers(original.headers) + history.headers()
        return OutgoingRecord(self.topics.requests, original.key, original.value, headers)
