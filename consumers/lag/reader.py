"""Reads the lag of consumer groups: committed offsets first, then the stable ends, then the records between them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Protocol

from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker, CommittedOffset, Membership, Replicas
from sightstream.consumers.kafka.tail import TailConsumer, open_tail_consumer
from sightstream.consumers.kafka.types import KafkaReadError, MissingTopic, PartitionId
from sightstream.consumers.lag.counter import Count, RecordCounter
from sightstream.consumers.lag.progress import Progress
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.types import GroupLag, LagReading, PartitionLag, PartitionState
from sightstream.consumers.lag.unfinished import Unfinished, removed_before_read, unfinished
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

log = logging.getLogger(__name__)

GroupTopics = Mapping[str, tuple[str, ...]]
_Read = tuple[PartitionState, Unfinished, Count]


class LagBroker(Protocol):
    """The part of `Broker` that is used here."""

    def groups(self) -> list[str]: ...
    def committed(self, group_id: str) -> dict[PartitionId, CommittedOffset]: ...
    def membership(self, group_id: str) -> Membership: ...
    def replicas(self, topics: Collection[str]) -> dict[PartitionId, Replicas]: ...
    def stable_ends(self, partitions: Collection[PartitionId]) -> dict[PartitionId, int]: ...
    def ends(self, partitions: Collection[PartitionId]) -> dict[PartitionId, int]: ...
    def starts(self, partitions: Collection[PartitionId]) -> dict[PartitionId, int]: ...


@dataclass(frozen=True, slots=True)
class _Group:
    topics: tuple[str, ...]
    committed: dict[PartitionId, CommittedOffset]
    membership: Membership

    def partitions(self, replicas: Mapping[PartitionId, Replicas]) -> list[PartitionId]:
        """Return those of its topics, else those that it has committed on and that can be read."""
        if self.topics:
            return sorted(at for at in replicas if at.topic in self.topics)
        return sorted(at for at in self.committed if at in replicas and replicas[at].leader is not None)


class LagReader:
    """Reads lag with a few requests for each group, and fetches as far as the settings' budget goes.

    `groups` names the topics of each group; a group without any is read on the topics that it has committed on, and a
    name with `*` or `?` stands for all groups that it matches at the time. `workers` is the group whose members have
    GPUs. Not thread safe; close it at the end.
    `clock` never goes back; `wall_clock` is seconds since 1970, as in the records' timestamps.
    """

    def __init__(
        self,
        broker: LagBroker,
        consumer: TailConsumer,
        groups: GroupTopics,
        settings: LagSettings,
        clocks: tuple[Callable[[], float], Callable[[], float]] = (time.monotonic, time.time),
        workers: str | None = None,
    ) -> None:
        self._broker, self._workers = broker, workers
        self._consumer = consumer
        self._groups = groups
        self._settings = settings
        self._clock, self._wall_clock = clocks
        self._counter = RecordCounter(consumer, settings, self._clock)
        self._progress: dict[str, Progress] = {}
        self._unreadable: set[str] = set()

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
        return list(self.read_all().groups)

    def read_all(self) -> LagReading:
        """Read every group and its partitions. Blocks for some seconds at most. Raises KafkaReadError."""
        groups = self._named() | self._matching()
        replicas = self._replicas(groups)
        read_by = {name: group.partitions(replicas) for name, group in groups.items()}
        wanted = {at for partitions in read_by.values() for at in partitions}
        # After the committed offsets: an end that was read before them could lie below them.
        starts, ends = self._broker.starts(wanted), self._broker.stable_ends(wanted)
        last = self._broker.ends(wanted)
        states = {
            at: PartitionState(starts[at], ends[at], replicas[at], max(0, last[at] - ends[at])) for at in sorted(wanted)
        }
        left = {
            (name, at): unfinished(groups[name].committed.get(at), starts[at], ends[at])
            for name, partitions in read_by.items()
            for at in partitions
        }
        counts = self._counter.count(left)
        self._progress = {name: self._progress.get(name, Progress(self._settings.window_s)) for name in groups}
        lags = [
            self._group_lag(name, group, {at: (states[at], left[name, at], counts[name, at]) for at in read_by[name]})
            for name, group in groups.items()
        ]
        return LagReading(tuple(lags), states)

    def _named(self) -> dict[str, _Group]:
        return {name: self._group(name, topics) for name, topics in self._groups.items() if not _is_pattern(name)}

    def _matching(self) -> dict[str, _Group]:
        """Read the groups that a pattern stands for; those that can't be read are left out."""
        patterns = [name for name in self._groups if _is_pattern(name)]
        found = {}
        for name in self._broker.groups() if patterns else ():
            if name not in self._groups and any(fnmatchcase(name, pattern) for pattern in patterns):
                try:
                    found[name] = self._group(name, ())
                    self._unreadable.discard(name)
                except KafkaReadError as error:
                    self._warn(name, error)
        return found

    def _warn(self, name: str, error: KafkaReadError) -> None:
        if name not in self._unreadable:
            self._unreadable.add(name)
            log.warning("the lag of a group that matches group_ids can't be read: %s", error)

    def _group(self, name: str, topics: tuple[str, ...]) -> _Group:
        return _Group(topics, self._broker.committed(name), self._broker.membership(name))

    def _replicas(self, groups: Mapping[str, _Group]) -> dict[PartitionId, Replicas]:
        own = {topic for group in groups.values() for topic in group.topics}
        others = {at.topic for group in groups.values() if not group.topics for at in group.committed}
        replicas = self._broker.replicas(own | others)
        if missing := own - {at.topic for at in replicas}:
            raise MissingTopic(f"the topic {min(missing)} does not exist")
        return replicas

    def _group_lag(self, name: str, group: _Group, read: Mapping[PartitionId, _Read]) -> GroupLag:
        partitions = tuple(self._partition_lag(name, group, at, *known) for at, known in read.items())
        lag = GroupLag(name, group.membership.members, partitions)
        progress = self._progress[name]
        progress.add(
            self._clock(),
            lag.records,
            len(lag.members),
            ends={at: state.stable_end for at, (state, _, _) in read.items()},
            done={at: state.stable_end - len(left) for at, (state, left, _) in read.items()},
        )
        return replace(
            lag,
            queue_empty_seconds=progress.seconds_to_empty(),
            arrivals_per_s=progress.arrivals_per_s,
            completions_per_s=progress.completions_per_s,
            gpu_seconds=self._gpu_seconds(lag, progress),
        )

    def _partition_lag(
        self, name: str, group: _Group, at: PartitionId, state: PartitionState, left: Unfinished, count: Count
    ) -> PartitionLag:
        committed = group.committed.get(at)
        return PartitionLag(
            group=name,
            topic=at.topic,
            partition=at.partition,
            committed=committed.offset if committed else None,
            stable_end=left.end,
            records=count.records,
            seconds=self._age_s(count),
            owner=group.membership.owners.get(at),
            removed_before_read=removed_before_read(committed, state.earliest),
            estimated=count.estimated,
        )

    def _age_s(self, count: Count) -> float | None:
        if not count.records:
            return 0.0
        return None if count.oldest_ms is None else max(0.0, self._wall_clock() - count.oldest_ms / 1000)

    def _gpu_seconds(self, lag: GroupLag, progress: Progress) -> float | None:
        """Return the GPU time of the lag: each member of the workers' group has one GPU."""
        if lag.group != self._workers:
            return None
        of_one = self._settings.gpu_s_per_image or progress.member_s_per_record
        if lag.records and of_one is None:
            return None
        return lag.records * (of_one or 0.0)


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def pipeline_groups(workers: str, store: str, lookup: str, topics: TopicSettings) -> dict[str, tuple[str, ...]]:
    """Return the three groups of the pipeline, which have these ids, with their topics."""
    return {
        workers: (topics.requests,),
        store: (topics.results, topics.dead_letters),
        lookup: (topics.results,),
    }


def open_lag_reader(
    kafka: KafkaSettings, settings: LagSettings, groups: GroupTopics, workers: str | None = None
) -> LagReader:
    """Return a reader that connects at its first reading."""
    admin = AdminClient(kafka.client_config(), logger=client_logger(__name__))
    broker = Broker(admin, settings.read_timeout_s)
    return LagReader(broker, open_tail_consumer(kafka), groups, settings, workers=workers)
