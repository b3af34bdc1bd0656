"""The readings of lag."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.consumers.kafka.broker import Member


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far a group is behind on one partition; `sightstream lag --json` prints these fields.

    `committed` is None when the group never committed there, which counts from the earliest offset. `records` counts
    the records that are neither committed nor finished beyond the committed offset. `seconds` is the age of the oldest
    such record: 0 when there is none, None when it could not be read in time. `owner` is None when no member has the
    partition. `removed_before_read` counts the unfinished offsets from the committed one on that the topic no longer
    holds; once the group reads on it is 0 again, and the worker's metric of that name keeps the count.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    stable_end: int
    records: int
    seconds: float | None
    owner: Member | None
    removed_before_read: int = 0


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
        """The age of the oldest partition's oldest record; None when one is not known."""
        known = [partition.seconds for partition in self.partitions if partition.seconds is not None]
        return max(known, default=0.0) if len(known) == len(self.partitions) else None
