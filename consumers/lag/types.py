"""What a reading of lag says."""

from __future__ import annotations

from dataclasses import dataclass

Place = tuple[str, int]  # topic, partition


class LagError(Exception):
    """Lag can't be read now; the message says why. Reading again later may work."""


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer of a group. `host` is an address, as the broker sees it."""

    member_id: str
    client_id: str
    host: str


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far a group is behind on one partition.

    `committed` is None when the group never committed there, which counts from the earliest offset. `records` counts
    what is neither committed nor finished beyond the committed offset. `seconds` is the age of the oldest such record:
    0 when there is none, None when it could not be read in time. `owner` is None when no member has the partition.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    stable_end: int
    records: int
    seconds: float | None
    owner: Member | None


@dataclass(frozen=True, slots=True)
class GroupLag:
    """How far a group is behind. `queue_empty_seconds` is None while the lag does not fall, 0 when there is none."""

    group: str
    members: tuple[Member, ...]
    partitions: tuple[PartitionLag, ...]
    queue_empty_seconds: float | None = None

    @property
    def records(self) -> int:
        return sum(partition.records for partition in self.partitions)

    @property
    def seconds(self) -> float | None:
        """The oldest partition's; None when one is not known."""
        known = [partition.seconds for partition in self.partitions if partition.seconds is not None]
        return max(known, default=0.0) if len(known) == len(self.partitions) else None
