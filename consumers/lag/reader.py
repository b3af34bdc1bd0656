"""Reads the lag of consumer groups: committed offsets first, then the stable ends, then the records between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol

from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker, CommittedOffset, Membership
from sightstream.consumers.kafka.offset_metadata import Ranges, UnreadableMetadata, decode
from sightstream.consumers.kafka.tail import Span, Tail, TailConsumer, open_tail_consumer, read_tails
from sightstream.consumers.kafka.types import PartitionId
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.trend import Trend
from sightstream.consumers.lag.types import GroupLag, PartitionLag
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

GroupTopics = Mapping[str, tuple[str, ...]]


class LagBroker(Protocol):
    """The part of `Broker` that is used here."""

    def partitions(self, topics: tuple[str, ...]) -> list[PartitionId]: ...
    def committed(self, group_id: str) -> dict[PartitionId, CommittedOffset]: ...
    def membership(self, group_id: str) -> Membership: ...
    def stable_ends(self, partitions: set[PartitionId]) -> dict[PartitionId, int]: ...
    def starts(self, partitions: set[PartitionId]) -> dict[PartitionId, int]: ...


@dataclass(frozen=True, slots=True)
class FinishedOffsets:
    """Offsets that are finished beyond the committed one, as half-open ranges."""

    ranges: Ranges = ()

    def __contains__(self, offset: object) -> bool:
        return isinstance(offset, int) and any(start <= offset < end for start, end in self.ranges)

    def between(self, start: int, end: int) -> int:
        """Count the finished offsets in [`start`, `end`)."""
        return sum(max(0, min(stop, end) - max(first, start)) for first, stop in self.ranges)


@dataclass(frozen=True, slots=True)
class _GroupState:
    committed: dict[PartitionId, CommittedOffset]
    membership: Membership
    partitions: list[PartitionId]


class LagReader:
    """Reads lag with a few requests and one fetch per group. Not thread safe; close it at the end.

    `groups` names the topics of each group; a group without any is read on the topics that it has committed on.
    `clock` never goes back; `wall_clock` is seconds since 1970, as in the records' timestamps.
    """

    def __init__(
        self,
        broker: LagBroker,
        consumer: TailConsumer,
        groups: GroupTopics,
        settings: LagSettings,
        clocks: tuple[Callable[[], float], Callable[[], float]] = (time.monotonic, time.time),
    ) -> None:
        self._broker = broker
        self._consumer = consumer
        self._groups = groups
        self._settings = settings
        self._clock, self._wall_clock = clocks
        self._trends = {group_id: Trend(settings.window_s) for group_id in groups}

    def __enter__(self) -> LagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._consumer.close()

    def read(self) -> list[GroupLag]:
        """Read every group, in the order given. Blocks for some seconds at most. Raises KafkaReadError."""
        states = {group_id: self._state(group_id, topics) for group_id, topics in self._groups.items()}
        partitions = {partition for state in states.values() for partition in state.partitions}
        # After the committed offsets: an end that was read before them could lie below them.
        starts, ends = self._broker.starts(partitions), self._broker.stable_ends(partitions)
        return [self._with_trend(self._group(group_id, state, starts, ends)) for group_id, state in states.items()]

    def _state(self, group_id: str, topics: tuple[str, ...]) -> _GroupState:
        committed = self._broker.committed(group_id)
        partitions = self._broker.partitions(topics) if topics else sorted(committed)
        return _GroupState(committed, self._broker.membership(group_id), partitions)

    def _group(
        self, group_id: str, state: _GroupState, starts: dict[PartitionId, int], ends: dict[PartitionId, int]
    ) -> GroupLag:
        spans = {at: self._span(state.committed.get(at), starts[at], ends[at]) for at in state.partitions}
        unfinished = {partition: span for partition, span in spans.items() if span.start < span.end}
        tails = read_tails(self._consumer, unfinished, self._settings.read_timeout_s, self._clock)
        partitions = [
            replace(
                self._partition(group_id, at, state, spans[at], tails.get(at)),
                removed_before_read=_removed(state.committed.get(at), starts[at]),
            )
            for at in state.partitions
        ]
        return GroupLag(group_id, state.membership.members, tuple(partitions))

    def _span(self, committed: CommittedOffset | None, earliest: int, end: int) -> Span:
        start = earliest if committed is None else max(committed.offset, earliest)
        return Span(start, end, _finished(committed), count=end - start <= self._settings.count_within)

    def _partition(
        self, group_id: str, partition: PartitionId, state: _GroupState, span: Span, tail: Tail | None
    ) -> PartitionLag:
        committed = state.committed.get(partition)
        return PartitionLag(
            group=group_id,
            topic=partition.topic,
            partition=partition.partition,
            committed=committed.offset if committed else None,
            stable_end=span.end,
            records=unfinished_records(span, tail, _finished(committed)) if tail else 0,
            seconds=self._age_s(tail) if tail else 0.0,
            owner=state.membership.owners.get(partition),
        )

    def _age_s(self, tail: Tail) -> float | None:
        if tail.first_ms is not None:
            return max(0.0, self._wall_clock() - tail.first_ms / 1000)
        return 0.0 if tail.complete and not tail.records else None

    def _with_trend(self, lag: GroupLag) -> GroupLag:
        trend = self._trends[lag.group]
        trend.add(self._clock(), lag.records)
        return replace(lag, queue_empty_seconds=trend.seconds_to_empty())


def unfinished_records(span: Span, tail: Tail, finished: FinishedOffsets) -> int:
    """Return how many records are left.

    A tail that was read completely is counted; otherwise the unfinished offsets from its first record on.
    """
    if tail.complete:
        return tail.records
    start = span.start if tail.first_offset is None else tail.first_offset
    return max(0, span.end - start - finished.between(start, span.end))


def _removed(committed: CommittedOffset | None, earliest: int) -> int:
    """Return how many offsets left the topic before the group finished them."""
    if committed is None or committed.offset >= earliest:
        return 0
    return earliest - committed.offset - _finished(committed).between(committed.offset, earliest)


def _finished(committed: CommittedOffset | None) -> FinishedOffsets:
    try:
        return FinishedOffsets(decode(committed.metadata, committed.offset) if committed else ())
    except UnreadableMetadata:
        return FinishedOffsets()  # the worker stops on it; for lag it only means that nothing is known to be finished


def pipeline_groups(settings: LagSettings, topics: TopicSettings) -> dict[str, tuple[str, ...]]:
    """Return the three groups of the pipeline with their topics, and the others that the settings name."""
    others: dict[str, tuple[str, ...]] = dict.fromkeys(settings.group_ids, ())
    return others | {
        settings.worker_group_id: (topics.requests,),
        settings.store_group_id: (topics.results, topics.dead_letters),
        settings.lookup_group_id: (topics.results,),
    }


def open_lag_reader(kafka: KafkaSettings, settings: LagSettings, groups: GroupTopics) -> LagReader:
    """Return a reader that connects at its first reading."""
    admin = AdminClient(kafka.client_config(), logger=client_logger(__name__))
    broker = Broker(admin, settings.read_timeout_s)
    return LagReader(broker, open_tail_consumer(kafka), groups, settings)
