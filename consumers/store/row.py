"""Defines a record of a topic, and the row of a table that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sightstream.consumers.kafka.types import PartitionId
from sightstream.schemas.wire.dead_letter import Headers

Table = Literal["results", "dead_letters", "unreadable"]
Value = str | int | float | bytes | None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is on a topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    leader_epoch: int | None = None

    @property
    def at(self) -> PartitionId:
        return PartitionId(self.topic, self.partition)

    @property
    def size_bytes(self) -> int:
        headers = sum(len(name) + len(content or b"") for name, content in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


@dataclass(frozen=True, slots=True)
class Row:
    """Values by column name, and the table that they belong to. `answers` are the rows of a result's questions."""

    table: Table
    values: Mapping[str, Value]
    answers: tuple[Mapping[str, Value], ...] = ()
