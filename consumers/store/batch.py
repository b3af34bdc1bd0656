"""What was read and not yet written: rows, and how far each partition was read."""

from __future__ import annotations

from dataclasses import dataclass, field

from sightstream.consumers.store.database import Place
from sightstream.consumers.store.rows import Row


@dataclass(slots=True)
class Batch:
    rows: list[Row] = field(default_factory=list)
    positions: dict[Place, int] = field(default_factory=dict)

    def add(self, row: Row, place: Place, offset: int) -> None:
        self.rows.append(row)
        self.positions[place] = offset + 1

    def advance(self, place: Place, next_offset: int) -> None:
        """Nothing is left before `next_offset`, markers and aborted records included."""
        self.positions[place] = next_offset

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return bool(self.positions)
