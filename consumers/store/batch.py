"""Collects what was read and not yet written: rows, and how far each partition was read."""

from __future__ import annotations

from dataclasses import dataclass, field

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.rows import Row


@dataclass(slots=True)
class Batch:
    """Rows and read positions for one database transaction. True as soon as there is a position to write."""

    rows: list[Row] = field(default_factory=list)
    positions: dict[PartitionId, int] = field(default_factory=dict)

    def add(self, row: Row, partition: PartitionId, offset: int) -> None:
        self.rows.append(row)
        self.positions[partition] = offset + 1

    def advance(self, partition: PartitionId, next_offset: int) -> None:
        """Record that there is nothing left before `next_offset`, only markers and aborted records."""
        self.positions[partition] = next_offset

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return bool(self.positions)
