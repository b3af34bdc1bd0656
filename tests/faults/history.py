"""What a run left behind, as read from the topics, the group, the store and the engine: the checker's only input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sightstream.consumers.kafka.offset_metadata import Ranges
from sightstream.schemas.wire.dead_letter import RecordId


@dataclass(frozen=True, slots=True)
class Request:
    """A record that a `read_committed` reader finds on the request topic.

    `order_key` is what orders its outcome among others: the product where the record is a valid request, else the
    record's key. `request_id` is None where it is no valid request.
    """

    source: RecordId
    key: bytes | None
    order_key: bytes | None
    request_id: str | None
    digest: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record on the result topic or, with a `reason`, on the dead-letter topic.

    `digest` covers a dead letter's key and value, and is None where they were left out. `written_ms` is the record's
    timestamp: the time at which it was produced, or appended where the topic says so.
    """

    at: RecordId
    key: bytes | None
    source: RecordId | None
    written_ms: int
    request_id: str | None = None
    reason: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """An outcome as the concurrent reader got it, and when."""

    outcome: Outcome
    seen_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A partition's committed offset and the ranges beyond it that are finished."""

    offset: int
    finished: Ranges = ()

    def covers(self, offset: int) -> bool:
        return offset < self.offset or any(start <= offset < end for start, end in self.finished)


@dataclass(frozen=True, slots=True)
class End:
    """The end of a partition: the last stable offset, and the high watermark."""

    topic: str
    partition: int
    stable: int
    high: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One injected fault.

    `lag` is counted at the fault. `in_flight` are the images in the hands of the workers that it hit, at the fault or,
    where it keeps them from committing, until it is over. `recovery_s` is the time until outcomes went on, None where
    nobody measured it; `recovery_limit_s` is what it may be.
    """

    name: str
    lag: int
    in_flight: int = 0
    recovery_s: float | None = None
    recovery_limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """All of it, at rest. `rows` and `inferences` are None in runs without a store or without a count.

    `outcomes` is the final reading; `sightings` come from a reader that ran beside the workers, in its order.
    `rows` are the positions of the records that the store holds; `inferences` counts the engine's answers by request.
    """

    published: int
    requests: tuple[Request, ...]
    outcomes: tuple[Outcome, ...]
    sightings: tuple[Sighting, ...]
    committed: Mapping[int, Committed]
    ends: tuple[End, ...]
    rows: tuple[RecordId, ...] | None = None
    inferences: Mapping[str, int] | None = None
    faults: tuple[Fault, ...] = ()
    reader_errors: tuple[str, ...] = field(default=())
