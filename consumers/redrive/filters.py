"""Selects dead letters. Conditions of different kinds must all hold; of one kind, any one is enough."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sightstream.consumers.redrive.letter import DeadLetter, request_of
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.topics import record_key

# A topic has a letter, a dot or the like in its name: a bare number is a partition.
_RANGE = re.compile(
    r"(?:((?=[0-9]*[a-zA-Z._-])[a-zA-Z0-9._-]+)/)?([0-9]{1,10})(?:/([0-9]{1,19})(?:(-)([0-9]{1,19})?)?)?"
)
_AGE = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets from `first` to `last`, both included, of one partition; of any topic if `topic` is None."""

    topic: str | None
    partition: int
    first: int = 0
    last: int | None = None

    def contains(self, at: RecordId) -> bool:
        """Return whether a record is in the range."""
        if self.partition != at.partition or self.topic not in (None, at.topic):
            return False
        return self.first <= at.offset and (self.last is None or at.offset <= self.last)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a dead letter must be; an empty one matches all.

    `sources` are coordinates of the request's record, `letters` those of the dead letter itself. `until` is excluded.
    """

    reasons: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    product: str | None = None
    request: str | None = None
    sources: tuple[OffsetRange, ...] = ()
    letters: tuple[OffsetRange, ...] = ()

    def matches(self, letter: DeadLetter) -> bool:
        """Return whether the letter is selected. Blocks for nothing."""
        return (
            (not self.reasons or str(letter.failure.reason) in self.reasons)
            and (not self.stages or str(letter.failure.stage) in self.stages)
            and (self.since is None or self.since <= letter.failed_at)
            and (self.until is None or letter.failed_at < self.until)
            and _contains(self.sources, letter.failure.source)
            and _contains(self.letters, letter.record.at)
            and self._matches_request(letter)
        )

    def _matches_request(self, letter: DeadLetter) -> bool:
        if self.product is not None and letter.record.key == record_key(self.product) and self.request is None:
            return True
        if self.product is None and self.request is None:
            return True
        request = request_of(letter.record.value)
        return (
            request is not None
            and self.product in (None, request.product_id)
            and (self.request in (None, request.request_id))
        )


def _contains(ranges: tuple[OffsetRange, ...], at: RecordId) -> bool:
    return not ranges or any(wanted.contains(at) for wanted in ranges)


def parse_range(text: str) -> OffsetRange:
    """Read `3`, `3/17`, `3/17-20`, `3/17-` or any of them behind `topic/`. Raises ValueError."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no range: write PARTITION, PARTITION/OFFSET or PARTITION/FIRST-LAST")
    topic, partition, first, dash, last = match.groups()
    start = int(first or 0)
    end = int(last) if last else None if dash or not first else start
    if end is not None and end < start:
        raise ValueError(f"{text!r} ends before it begins")
    return OffsetRange(topic, int(partition), start, end)


def parse_time(text: str, now: datetime) -> datetime:
    """Read an ISO 8601 time, UTC unless it names a zone, or an age such as `90m`, `2h` or `1d`. Raises ValueError."""
    if match := _AGE.fullmatch(text):
        try:
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        except OverflowError:
            raise ValueError(f"{text!r} is too long ago") from None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: write 2026-11-27T09:00, or an age such as 2h") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
