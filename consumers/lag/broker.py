"""What the broker knows of groups and partitions, asked through one admin client."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from sightstream.consumers.lag.types import LagError, Member, Place

T = TypeVar("T")
_NO_GROUP = {KafkaError.GROUP_ID_NOT_FOUND, KafkaError.INVALID_GROUP_ID}


@dataclass(frozen=True, slots=True)
class Committed:
    """A group's committed offset, and the note that was committed with it."""

    offset: int
    note: str | None


@dataclass(frozen=True, slots=True)
class Membership:
    """Who is in a group and who has which partition."""

    members: tuple[Member, ...]
    owners: Mapping[Place, Member]


class Broker:
    """Each call blocks for `timeout_seconds` at most. Raises LagError."""

    def __init__(self, admin: AdminClient, timeout_seconds: float) -> None:
        self._admin = admin
        self._timeout = timeout_seconds

    def places(self, topics: Collection[str]) -> list[Place]:
        """Every partition of `topics`. A topic that does not exist is an error."""
        if not topics:
            return []
        described = self._ask(self._admin.describe_topics, TopicCollection(list(topics)))
        return [(name, part.id) for name in topics for part in self._result(described[name], name).partitions]

    def committed(self, group: str) -> dict[Place, Committed]:
        """Empty for a group that does not exist."""
        asked = self._ask(self._admin.list_consumer_group_offsets, [ConsumerGroupTopicPartitions(group)])
        try:
            found = self._result(asked[group], group).topic_partitions
        except _NoGroup:
            return {}
        return {(p.topic, p.partition): Committed(p.offset, p.metadata) for p in found if p.offset >= 0}

    def membership(self, group: str) -> Membership:
        """Nobody, for a group that does not exist."""
        try:
            found = self._result(self._ask(self._admin.describe_consumer_groups, [group])[group], group).members
        except _NoGroup:
            return Membership((), {})
        members = {Member(m.member_id, m.client_id, m.host.lstrip("/")): m.assignment for m in found}
        owners = {
            (p.topic, p.partition): member
            for member, assignment in members.items()
            for p in (assignment.topic_partitions if assignment else ())
        }
        return Membership(tuple(members), owners)

    def stable_ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The offset up to which a read_committed reader can read."""
        return self._offsets(places, OffsetSpec.latest())

    def starts(self, places: Iterable[Place]) -> dict[Place, int]:
        """The earliest offset that is still there."""
        return self._offsets(places, OffsetSpec.earliest())

    def _offsets(self, places: Iterable[Place], spec: OffsetSpec) -> dict[Place, int]:
        asked = {TopicPartition(*place): spec for place in places}
        if not asked:
            return {}
        found = self._ask(self._admin.list_offsets, asked, isolation_level=IsolationLevel.READ_COMMITTED)
        return {(p.topic, p.partition): self._result(future, p.topic).offset for p, future in found.items()}

    def _ask(self, call: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, request_timeout=self._timeout, **options)
        except KafkaException as error:
            raise LagError(f"the broker can't be asked: {error.args[0].str()}") from None

    def _result(self, future: Future[Any], what: str) -> Any:
        try:
            return future.result(self._timeout + 5)
        except KafkaException as error:
            if error.args[0].code() in _NO_GROUP:
                raise _NoGroup from None
            raise LagError(f"{what}: {error.args[0].str()}") from None
        except TimeoutError:
            raise LagError(f"{what}: no answer in {self._timeout:g} s") from None


class _NoGroup(Exception):
    """The broker has never heard of the group."""
