"""Collects what was read and not yet written: rows, and how far each partition was read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.store.row import Record, Row
from sightstream.schemas.wire.trace_context import TraceContext

# A result can have megabytes, and a batch of records is held in memory more than once.
MAX_BATCH_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition was read: there is nothing left before `next_offset`.

    `record_end` is the offset behind the last record, and `leader_epoch` the epoch in which that was written. Markers
    and aborted records may follow it.
    """

    next_offset: int
    record_end: int | None = None
    leader_epoch: int | None = None

    @property
    def start(self) -> int:
        """The offset to read from: the last record once more, so that `precedes` can tell whether it is still there."""
        return self.next_offset if self.record_end is None else self.record_end - 1

    def precedes(self, record: Record) -> bool:
        """Return whether the log that this position was read from is still the same, by the first record from `start`.

        Two logs that have a record of the same offset and epoch are the same up to there. A log that was cut and
        written again has later epochs from the cut on.
        """
        return record.leader_epoch == self.leader_epoch


@dataclass(slots=True)
class Batch:
    """Rows and read positions for one database transaction. True as soon as there is a position to write."""

    rows: list[Row] = field(default_factory=list)
    positions: dict[PartitionId, Position] = field(default_factory=dict)
    size_bytes: int = 0
    traces: list[TraceContext | None] = field(default_factory=list)  # by row, where anything is traced

    def add(self, row: Row, record: Record) -> None:
        end = record.offset + 1
        epoch_known = record.leader_epoch is not None
        self.rows.append(row)
        self.positions[record.at] = Position(end, end if epoch_known else None, record.leader_epoch)
        self.size_bytes += record.size_bytes

    def advance(self, partition: PartitionId, next_offset: int, read_so_far: Position | None) -> None:
        """Record that nothing is left before `next_offset`, only markers and aborted records after `read_so_far`."""
        known = self.positions.get(partition, read_so_far)
        self.positions[partition] = replace(known, next_offset=next_offset) if known else Position(next_offset)

    def is_full(self, max_records: int) -> bool:
        return len(self.rows) >= max_records or self.size_bytes >= MAX_BATCH_BYTES

    def __bool__(self) -> bool:
        return bool(self.positions)
