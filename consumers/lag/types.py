"""The readings of lag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sightstream.consumers.kafka.broker import Member, Replicas
from sightstream.consumers.kafka.types import PartitionId


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far a group is behind on one partition; `sightstream lag --json` prints these fields.

    `committed` is None when the group never committed there, which counts from the earliest offset. `records` counts
    the records that are neither committed nor finished beyond the committed offset; `estimated` says that they were
    not counted one by one, since that would exceed the reading budget. `seconds` is the age of the oldest such record:
    0 when there is none, None when it could not be read yet. `owner` is None when no member has the partition.
    `removed_before_read` counts the unfinished offsets from the committed one on that the topic no longer holds; once
    the group reads on it is 0 again, and the worker's metric of that name keeps the count.
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
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class GroupLag:
    """How far a group is behind.

    `queue_empty_seconds` is None while the lag does not fall, 0 when there is none. The two rates are in offsets per
    second over the window of the settings, transaction markers included, and None at the first reading. `gpu_seconds`
    is the GPU time of what is left, None where the time of one image is not known.
    """

    group: str
    members: tuple[Member, ...]
    partitions: tuple[PartitionLag, ...]
    queue_empty_seconds: float | None = None
    arrivals_per_s: float | None = None
    completions_per_s: float | None = None
    gpu_seconds: float | None = None

    @property
    def records(self) -> int:
        return sum(partition.records for partition in self.partitions)

    @property
    def estimated(self) -> bool:
        return any(partition.estimated for partition in self.partitions)

    @property
    def seconds(self) -> float | None:
        """The age of the oldest partition's oldest record; None when one is not known."""
        known = [partition.seconds for partition in self.partitions if partition.seconds is not None]
        return max(known, default=0.0) if len(known) == len(self.partitions) else None


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A partition as its brokers have it, up to the last stable offset; `unstable` counts the offsets beyond it."""

    earliest: int
    stable_end: int
    replicas: Replicas
    unstable: int = 0


@dataclass(frozen=True, slots=True)
class LagReading:
    """All groups, and all partitions that any of them reads."""

    groups: tuple[GroupLag, ...] = ()
    partitions: Mapping[PartitionId, PartitionState] = field(default_factory=dict)
