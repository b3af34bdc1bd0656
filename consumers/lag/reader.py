"""Reads the lag of consumer groups: committed offsets first, then the stable ends, then what really lies between."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol

from confluent_kafka.admin import AdminClient

from sightstream.consumers.lag.broker import Broker, Committed, Membership
from sightstream.consumers.lag.settings import LagSettings
from sightstream.consumers.lag.tail import Consumer, Span, Tail, open_tail_consumer, read_tails
from sightstream.consumers.lag.trend import Trend
from sightstream.consumers.lag.types import GroupLag, PartitionLag, Place
from sightstream.consumers.worker.offset_metadata import Ranges, UnreadableNote, decode
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

GroupTopics = Mapping[str, tuple[str, ...]]


class AsksBroker(Protocol):
    """What is used of `Broker`."""

    def places(self, topics: tuple[str, ...]) -> list[Place]: ...
    def committed(self, group: str) -> dict[Place, Committed]: ...
    def membership(self, group: str) -> Membership: ...
    def stable_ends(self, places: set[Place]) -> dict[Place, int]: ...
    def starts(self, places: set[Place]) -> dict[Place, int]: ...


@dataclass(frozen=True, slots=True)
class Finished:
    """Offsets that are finished beyond the committed one, as half-open ranges."""

    ranges: Ranges = ()

    def __contains__(self, offset: object) -> bool:
        return isinstance(offset, int) and any(start <= offset < end for start, end in self.ranges)

    def between(self, start: int, end: int) -> int:
        """How many of them lie in [`start`, `end`)."""
        return sum(max(0, min(stop, end) - max(first, start)) for first, stop in self.ranges)


@dataclass(frozen=True, slots=True)
class _GroupState:
    committed: dict[Place, Committed]
    membership: Membership
    places: list[Place]


class LagReader:
    """One reading a call, a few requests and a fetch each. Not thread safe; close it at the end.

    `groups` names the topics of each group; without any, those it has committed on. `clock` never goes back;
    `wall_clock` is seconds since 1970, as in the records' timestamps.
    """

    def __init__(
        self,
        broker: AsksBroker,
        consumer: Consumer,
        groups: GroupTopics,
        settings: LagSettings,
        clocks: tuple[Callable[[], float], Callable[[], float]] = (time.monotonic, time.time),
    ) -> None:
        self._broker = broker
        self._consumer = consumer
        self._groups = groups
        self._settings = settings
        self._clock, self._wall_clock = clocks
        self._trends = {group: Trend(settings.window_seconds) for group in groups}

    def __enter__(self) -> LagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._consumer.close()

    def read(self) -> list[GroupLag]:
        """Every group, in the order given. Blocks for some seconds at most. Raises LagError."""
        states = {group: self._state(group, topics) for group, topics in self._groups.items()}
        places = {place for state in states.values() for place in state.places}
        starts, ends = self._broker.starts(places), self._broker.stable_ends(places)  # after what is committed
        return [self._with_trend(self._group(group, state, starts, ends)) for group, state in states.items()]

    def _state(self, group: str, topics: tuple[str, ...]) -> _GroupState:
        committed = self._broker.committed(group)
        places = self._broker.places(topics) if topics else sorted(committed)
        return _GroupState(committed, self._broker.membership(group), places)

    def _group(self, group: str, state: _GroupState, starts: dict[Place, int], ends: dict[Place, int]) -> GroupLag:
        spans = {place: self._span(state.committed.get(place), starts[place], ends[place]) for place in state.places}
        left = {place: span for place, span in spans.items() if span.start < span.end}
        tails = read_tails(self._consumer, left, self._settings.read_timeout_seconds, self._clock)
        partitions = [self._partition(group, place, state, spans[place], tails.get(place)) for place in state.places]
        return GroupLag(group, state.membership.members, tuple(partitions))

    def _span(self, committed: Committed | None, earliest: int, end: int) -> Span:
        start = earliest if committed is None else max(committed.offset, earliest)
        return Span(start, end, _finished(committed), count=end - start <= self._settings.count_within)

    def _partition(self, group: str, place: Place, state: _GroupState, span: Span, tail: Tail | None) -> PartitionLag:
        committed = state.committed.get(place)
        return PartitionLag(
            group=group,
            topic=place[0],
            partition=place[1],
            committed=committed.offset if committed else None,
            stable_end=span.end,
            records=records_left(span, tail, _finished(committed)) if tail else 0,
            seconds=self._age(tail) if tail else 0.0,
            owner=state.membership.owners.get(place),
        )

    def _age(self, tail: Tail) -> float | None:
        if tail.first_ms is not None:
            return max(0.0, self._wall_clock() - tail.first_ms / 1000)
        return 0.0 if tail.whole and not tail.records else None

    def _with_trend(self, lag: GroupLag) -> GroupLag:
        trend = self._trends[lag.group]
        trend.add(self._clock(), lag.records)
        return replace(lag, queue_empty_seconds=trend.seconds_to_empty())


def records_left(span: Span, tail: Tail, finished: Finished) -> int:
    """Counted where the tail was read whole; else offsets, less those finished, from the first record on."""
    if tail.whole:
        return tail.records
    start = span.start if tail.first_offset is None else tail.first_offset
    return max(0, span.end - start - finished.between(start, span.end))


def _finished(committed: Committed | None) -> Finished:
    try:
        return Finished(decode(committed.note, committed.offset) if committed else ())
    except UnreadableNote:
        return Finished()  # the worker stops on it; to a reader of lag it says nothing


def pipeline_groups(settings: LagSettings, topics: TopicSettings) -> dict[str, tuple[str, ...]]:
    """The three groups of the pipeline with their topics, and the others that the settings name."""
    others: dict[str, tuple[str, ...]] = dict.fromkeys(settings.groups, ())
    return others | {
        settings.worker_group: (topics.requests,),
        settings.store_group: (topics.results, topics.dead_letters),
        settings.lookup_group: (topics.results,),
    }


def open_lag_reader(kafka: KafkaSettings, settings: LagSettings, groups: GroupTopics) -> LagReader:
    """Connects on the first reading."""
    broker = Broker(AdminClient(kafka.client_config()), settings.read_timeout_seconds)
    return LagReader(broker, open_tail_consumer(kafka), groups, settings)
