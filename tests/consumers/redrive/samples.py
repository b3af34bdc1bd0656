"""Dead letters as a worker writes them, and a listener for runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sightstream.consumers.redrive.letter import DeadLetter, Record, parse_letter
from sightstream.consumers.redrive.tally import Tally
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Failure, Headers, Reason, RecordId, Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LETTERS = "image.dead-letters"


def request_value(number: int, product: str = "p-1", deadline: datetime | None = None) -> bytes:
    image = ImageRef(uri=f"s3://shop/{number}.jpg")
    request = ImageRequest(
        request_id=f"r-{number}",
        product_id=product,
        image=image,
        question="?",
        submitted_at=NOON,
        deadline=deadline,
    )
    return encode(request)


def failure_headers(
    reason: Reason | str = Reason.IMAGE_NOT_FOUND, source_offset: int = 0, topic: str = "image.requests"
) -> Headers:
    source = RecordId(topic, 0, source_offset)
    return Failure(reason, Stage.FETCH, "why", 1, NOON, source).headers()


def letter(
    at: RecordId | None = None,
    key: bytes | None = b"p-1",
    value: bytes | None = None,
    headers: Headers | None = None,
) -> DeadLetter:
    made = Record(
        at or RecordId(LETTERS, 0, 0),
        key,
        request_value(0) if value is None else value,
        failure_headers() if headers is None else headers,
    )
    parsed = parse_letter(made)
    assert parsed is not None
    return parsed


@dataclass
class Listener:
    """Remembers how often a run began."""

    starts: list[int] = field(default_factory=list)

    def on_start(self, offsets: int) -> None:
        self.starts.append(offsets)

    def on_read(self, tally: Tally) -> None:
        self.last = tally
