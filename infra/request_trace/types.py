"""What is known of one request, and what was read to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sightstream.consumers.kafka.types import PartitionId

Kind = Literal["request", "result", "dead_letter", "redrive", "row"]
State = Literal["answered", "dead", "waiting", "unknown"]


@dataclass(frozen=True, slots=True)
class Event:
    """A record or a row about the request. `at` is the record's time on Kafka, None where it has none.

    `where` is a record as topic/partition/offset, or a table of the results database.
    """

    kind: Kind
    at: datetime | None
    where: str
    details: Mapping[str, object]


@dataclass(slots=True)
class Reading:
    """The offsets [`start`, `end`) of a partition, `earliest` being the first that the broker still has.

    `records` and `oldest`, the time of the first record, are known once it is read.
    """

    partition: PartitionId
    earliest: int
    start: int
    end: int
    records: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """All that was found, in the order of time. `notes` say what could not be read."""

    request_id: str
    state: State
    events: tuple[Event, ...] = ()
    readings: tuple[Reading, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
