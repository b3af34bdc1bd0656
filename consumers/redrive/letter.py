"""Turns a record of the dead-letter topic into a dead letter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from sightstream.schemas.wire.codec import WireError, decode_request
from sightstream.schemas.wire.dead_letter import HEADER_PREFIX, Failure, Headers, RecordId
from sightstream.schemas.wire.redrive import History
from sightstream.schemas.wire.request import ImageRequest

_OMITTED = HEADER_PREFIX + "omitted-"
# Of a record whose batch nobody could read, not even its size and digest are known.
UNREADABLE = "unreadable_record"


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is on a topic. `headers` is None when a header's name is not UTF-8."""

    at: RecordId
    key: bytes | None
    value: bytes | None
    headers: Headers | None


@dataclass(frozen=True, slots=True)
class Omitted:
    """What a dead letter keeps of a record that was not kept; None is what its worker did not know."""

    size: int | None
    sha256: str | None

    def matches(self, record: Record) -> bool:
        """Return whether this is the record that was omitted. Without a digest nobody can tell: False."""
        size = len(record.key or b"") + len(record.value or b"")
        return self.sha256 == hashlib.sha256(record.value or b"").hexdigest() and self.size in (None, size)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter. `omitted` is set when key, value and headers are not kept but still where `failure` says."""

    record: Record
    failure: Failure
    history: History | None
    omitted: Omitted | None

    @property
    def redrives(self) -> int:
        """How often its request has been redriven so far."""
        return self.history.count if self.history else 0

    @property
    def failed_at(self) -> datetime:
        at = self.failure.failed_at
        return at if at.tzinfo else at.replace(tzinfo=UTC)


def parse_letter(record: Record) -> DeadLetter | None:
    """Return the dead letter, None for a record that no worker wrote."""
    if record.headers is None:
        return None
    try:
        failure = Failure.from_headers(record.headers)
        return DeadLetter(record, failure, History.from_headers(record.headers), _omitted(record, failure))
    except (KeyError, ValueError, OverflowError):
        return None


def request_of(value: bytes | None) -> ImageRequest | None:
    """Return the request, None when the value is no valid one."""
    try:
        return decode_request(value)
    except WireError:
        return None


def _omitted(record: Record, failure: Failure) -> Omitted | None:
    headers = record.headers or []
    found = {name.removeprefix(_OMITTED): value for name, value in headers if name.startswith(_OMITTED) and value}
    if not found and not (str(failure.reason) == UNREADABLE and record.key is None and record.value is None):
        return None
    size = found.get("bytes")
    return Omitted(int(size) if size else None, found["sha256"].decode("ascii") if "sha256" in found else None)
