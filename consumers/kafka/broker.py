"""Asks the broker about groups, offsets and partitions, through one admin client."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
    TopicPartitionInfo,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigEntry,
    ConfigResource,
    ConsumerGroupDescription,
    ListConsumerGroupsResult,
    ListOffsetsResultInfo,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from sightstream.consumers.kafka.topic_description import describe_topics
from sightstream.consumers.kafka.types import KafkaReadError, MissingTopic, PartitionId, PendingOffsets

T = TypeVar("T")
# confluent-kafka gives these methods no types.
_EARLIEST: Callable[[], OffsetSpec] = OffsetSpec.earliest
_LATEST: Callable[[], OffsetSpec] = OffsetSpec.latest
_FOR_TIME: Callable[[int], OffsetSpec] = OffsetSpec.for_timestamp
# librdkafka prints ids in plain base64; Kafka and its tools print them in the form that is safe in URLs.
_URL_SAFE = str.maketrans("+/", "-_", "=")
_LEADER_MOVES = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}
_LEADER_PAUSES_S = (0.1, 0.3, 1.0)
_NO_GROUP = {KafkaError.GROUP_ID_NOT_FOUND, KafkaError.INVALID_GROUP_ID}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is now. A topic that is deleted and created again under its name has another `topic_id`."""

    topic_id: str
    partitions: int
    replication_factor: int


@dataclass(frozen=True, slots=True)
class Replicas:
    """The brokers that hold a partition, the preferred leader first. `leader` is None while there is none."""

    leader: int | None
    all: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """A group's committed offset, and the text that was committed beside it."""

    offset: int
    metadata: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer of a group. `host` is an address, as the broker sees it."""

    member_id: str
    client_id: str
    host: str


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of a group, and the member that owns each partition."""

    members: tuple[Member, ...]
    owners: Mapping[PartitionId, Member]


class Broker:
    """Each call blocks for `timeout_s` at most, for three times that where a broker is down. Raises KafkaReadError."""

    def __init__(self, admin: AdminClient, timeout_s: float) -> None:
        self._admin = admin
        self._timeout_s = timeout_s

    def partitions(self, topics: Collection[str]) -> list[PartitionId]:
        """Return every partition of `topics`. A topic that does not exist is an error."""
        if not topics:
            return []
        futures = self._call(describe_topics, self._admin, topics)
        described: dict[str, TopicDescription] = {name: self._result(futures[name], name) for name in topics}
        return [PartitionId(name, part.id) for name, topic in described.items() for part in topic.partitions]

    def topics(self, names: Collection[str]) -> dict[str, Topic]:
        """Return those of `names` that exist."""
        return {name: _topic(described) for name, described in self._existing(names).items()}

    def replicas(self, topics: Collection[str]) -> dict[PartitionId, Replicas]:
        """Return every partition of those topics that exist."""
        described = self._existing(topics) if topics else {}
        return {PartitionId(name, p.id): _replicas(p) for name, topic in described.items() for p in topic.partitions}

    def _existing(self, names: Collection[str]) -> dict[str, TopicDescription]:
        futures = self._call(describe_topics, self._admin, names)
        found: dict[str, TopicDescription] = {}
        for name in names:
            with suppress(MissingTopic):
                found[name] = self._result(futures[name], name)
        return found

    def topic_settings(self, topic: str) -> dict[str, str | None]:
        """Return the topic's settings; the value is None where the broker does not show it to us."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        futures = self._call(self._admin.describe_configs, [resource])
        entries: dict[str, ConfigEntry] = self._result(futures[resource], topic)
        return {name: entry.value for name, entry in entries.items()}

    def groups(self) -> list[str]:
        """Return the ids of all consumer groups, in order; those of a broker that is away are left out."""
        listed: ListConsumerGroupsResult = self._result(self._call(self._admin.list_consumer_groups), "consumer groups")
        found = listed.valid or []
        if listed.errors and not found:
            raise KafkaReadError(f"consumer groups: {listed.errors[0].args[0].str()}")
        return sorted(group.group_id for group in found)

    def committed(self, group_id: str) -> dict[PartitionId, CommittedOffset]:
        """Return all of the group's committed offsets, none for a group that does not exist."""
        return self._committed(group_id, None)

    def stable_committed(self, group_id: str, partitions: Iterable[PartitionId]) -> dict[PartitionId, CommittedOffset]:
        """Return the group's committed offsets of these partitions. Raises PendingOffsets.

        They are named because Kafka does not list a partition whose first offset ever is pending.
        """
        return self._committed(group_id, [TopicPartition(*partition) for partition in partitions])

    def _committed(self, group_id: str, stable: list[TopicPartition] | None) -> dict[PartitionId, CommittedOffset]:
        wanted = [ConsumerGroupTopicPartitions(group_id, stable)]
        call = self._admin.list_consumer_group_offsets
        futures = self._call(call, wanted, require_stable=stable is not None)
        try:
            offsets: ConsumerGroupTopicPartitions = self._result(futures[group_id], group_id)
        except _NoGroup:
            return {}
        found = offsets.topic_partitions or ()
        for at in found:
            if at.error is not None:
                kind = PendingOffsets if at.error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT else KafkaReadError
                raise kind(f"{group_id}, {at.topic}/{at.partition}: {at.error}")
        return {
            PartitionId(p.topic, p.partition): CommittedOffset(p.offset, p.metadata) for p in found if p.offset >= 0
        }

    def membership(self, group_id: str) -> Membership:
        """Return the group's members, none for a group that does not exist."""
        futures = self._call(self._admin.describe_consumer_groups, [group_id])
        try:
            group: ConsumerGroupDescription = self._result(futures[group_id], group_id)
        except _NoGroup:
            return Membership((), {})
        members = {Member(m.member_id, m.client_id, m.host.lstrip("/")): m.assignment for m in group.members}
        owners = {
            PartitionId(p.topic, p.partition): member
            for member, assignment in members.items()
            for p in (assignment.topic_partitions if assignment else ())
        }
        return Membership(tuple(members), owners)

    def stable_ends(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        """Return the offsets up to which a read_committed reader can read."""
        return self._offsets(partitions, _LATEST())

    def ends(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        """Return the ends of the partitions, records of open transactions included."""
        return self._offsets(partitions, _LATEST(), IsolationLevel.READ_UNCOMMITTED)

    def starts(self, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
        """Return the earliest offsets that the broker still has."""
        return self._offsets(partitions, _EARLIEST())

    def offsets_at(self, partitions: Iterable[PartitionId], time_ms: int) -> dict[PartitionId, int]:
        """Return the first offsets whose records are of this time (milliseconds since 1970) or later; -1 for none."""
        return self._offsets(partitions, _FOR_TIME(time_ms))

    def _offsets(
        self,
        partitions: Iterable[PartitionId],
        spec: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[PartitionId, int]:
        wanted = {TopicPartition(*partition): spec for partition in partitions}
        if not wanted:
            return {}
        for pause_s in _LEADER_PAUSES_S:
            with suppress(_NotLeader):
                return self._offsets_once(wanted, isolation)
            time.sleep(pause_s)  # the client has forgotten the old leader, and asks for the new one
        return self._offsets_once(wanted, isolation)

    def _offsets_once(
        self, wanted: dict[TopicPartition, OffsetSpec], isolation: IsolationLevel
    ) -> dict[PartitionId, int]:
        futures = self._call(self._admin.list_offsets, wanted, isolation_level=isolation)
        found: dict[TopicPartition, ListOffsetsResultInfo] = {
            p: self._result(future, p.topic) for p, future in futures.items()
        }
        return {PartitionId(p.topic, p.partition): info.offset for p, info in found.items()}

    def _call(self, call: Callable[..., T], *arguments: object, **options: object) -> T:
        self._admin.poll(0)  # hands librdkafka's log lines over, which would pile up
        try:
            return call(*arguments, request_timeout=self._timeout_s, **options)
        except KafkaException as error:
            raise KafkaReadError(f"can't send a request to the broker: {error.args[0].str()}") from None

    def _result(self, future: Future[T], subject: str) -> T:
        """Wait for an answer about a topic or a group, `subject`."""
        try:
            return future.result(self._timeout_s + 5)
        except KafkaException as error:
            if error.args[0].code() in _NO_GROUP:
                raise _NoGroup from None
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise MissingTopic(f"the topic {subject} does not exist") from None
            kind = _NotLeader if error.args[0].code() in _LEADER_MOVES else KafkaReadError
            raise kind(f"{subject}: {error.args[0].str()}") from None
        except TimeoutError:
            raise KafkaReadError(f"{subject}: the broker did not answer within {self._timeout_s:g} s") from None


def _topic(described: TopicDescription) -> Topic:
    copies = min((len(partition.replicas) for partition in described.partitions), default=0)
    return Topic(str(described.topic_id).translate(_URL_SAFE), len(described.partitions), copies)


def _replicas(partition: TopicPartitionInfo) -> Replicas:
    leader = partition.leader
    return Replicas(
        leader.id if leader is not None and leader.id >= 0 else None,
        tuple(node.id for node in partition.replicas),
        tuple(node.id for node in partition.isr),
    )


class _NotLeader(KafkaReadError):
    """The broker that was asked does not lead the partition, any more or yet."""


class _NoGroup(Exception):
    """The broker knows no group of this name."""
