"""Checks the topics and the group before the first record is consumed, so that a wrong one shows at start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from sightstream.consumers.kafka.broker import CommittedOffset, Topic
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId, PendingOffsets
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.wire.topics import MAX_OUTCOME_RECORD_BYTES, TopicSettings

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = "max.message.bytes"
CLEANUP_POLICY = "cleanup.policy"
MIN_INSYNC = "min.insync.replicas"


class TopicBroker(Protocol):
    """The part of `Broker` that is used here. Raises KafkaReadError."""

    def topics(self, names: Collection[str]) -> dict[str, Topic]: ...
    def topic_settings(self, topic: str) -> dict[str, str | None]: ...
    def partitions(self, topics: Collection[str]) -> list[PartitionId]: ...
    def committed(self, group_id: str) -> dict[PartitionId, CommittedOffset]: ...
    def stable_committed(
        self, group_id: str, partitions: Iterable[PartitionId]
    ) -> dict[PartitionId, CommittedOffset]: ...


def check_topics(broker: TopicBroker, topics: TopicSettings) -> str:
    """Return the request topic's id. Raises Fatal unless the three topics fit each other and our records."""
    names = (topics.requests, topics.results, topics.dead_letters)
    try:
        found = broker.topics(names)
        _check_partitions({name: found[name].partitions if name in found else 0 for name in names})
        settings = {name: broker.topic_settings(name) for name in names}
    except KafkaReadError as error:
        raise Fatal(
            f"can't describe the topics: {error}; with ACLs a worker needs Describe and DescribeConfigs on all three"
        ) from error
    check_retention(topics.requests, settings[topics.requests])
    _check_sizes({name: int(_shown(name, settings[name], MAX_MESSAGE_BYTES)) for name in names[1:]})
    _warn_of_single_copies(found, settings)
    return found[topics.requests].topic_id


def check_retention(name: str, settings: Mapping[str, str | None]) -> None:
    """Raise Fatal for a compacted request topic: Kafka deletes requests there as soon as their product has another."""
    policy = _shown(name, settings, CLEANUP_POLICY)
    if "compact" in policy:
        raise Fatal(
            f"{name} is compacted ({CLEANUP_POLICY}={policy}), which deletes requests before they are answered; set "
            f"{CLEANUP_POLICY}=delete on it"
        )


def check_group(
    broker: TopicBroker,
    group_id: str,
    topics: TopicSettings,
    first_outcome: Callable[[list[PartitionId]], PartitionId | None],
) -> None:
    """Raise Fatal when the group has no offsets on the request topic although there are outcomes already.

    Then Kafka has forgotten the offsets, the group was renamed or the topic was created again, and to start at the
    oldest request could answer everything twice. A group that is new on new topics passes.

    `first_outcome` returns a partition that holds a committed record. The group is read again after it, with the
    offsets of ended transactions only: an outcome that another worker has just committed has its offset there by then.
    The first reading does not wait for open transactions: one may be left of this worker's own last run, and only the
    producer that it starts later ends that.
    """
    try:
        if any(at.topic == topics.requests for at in broker.committed(group_id)):
            return
        found = first_outcome(broker.partitions((topics.results, topics.dead_letters)))
        if found is None or _has_stable_offsets(broker, group_id, topics.requests):
            return
    except KafkaReadError as error:
        raise Fatal(
            f"can't read the offsets of the group {group_id}: {error}; with ACLs a worker needs Read and Describe on "
            f"its group, and Read on the result and dead-letter topics"
        ) from error
    raise Fatal(
        f"the group {group_id} has no offsets on {topics.requests}, but there are outcomes in {found.topic}: Kafka has "
        f"forgotten the offsets, the group's name is new, or the topic was created again. Starting at the oldest "
        f"request may answer requests a second time: to do so, start the workers with --from-beginning; else reset the "
        f"group's offsets (docs/how-to/reset-offsets.md)"
    )


def _has_stable_offsets(broker: TopicBroker, group_id: str, topic: str) -> bool:
    try:
        return bool(broker.stable_committed(group_id, broker.partitions((topic,))))
    except PendingOffsets:  # another worker of the group commits right now: it is in use, and lost nothing
        return True


def _check_partitions(counts: dict[str, int]) -> None:
    missing = [name for name, count in counts.items() if count == 0]
    if missing:
        raise Fatal(f"the topics {missing} do not exist; `sightstream up` creates them locally")
    if len(set(counts.values())) > 1:
        raise Fatal(f"the topics must have the same number of partitions, but have {counts}")


def _check_sizes(sizes: dict[str, int]) -> None:
    small = {name: size for name, size in sizes.items() if size < MAX_OUTCOME_RECORD_BYTES}
    if small:
        raise Fatal(f"set {MAX_MESSAGE_BYTES} of these topics to {MAX_OUTCOME_RECORD_BYTES} or more: {small}")


def _warn_of_single_copies(found: Mapping[str, Topic], settings: Mapping[str, Mapping[str, str | None]]) -> None:
    """Warn where a broker that dies may hold the only copy of a record, though the topic has copies enough."""
    for name in _with_single_copies(found, settings):
        log.warning(
            "%s keeps %d copies but accepts records that only one broker has; set %s=2 on it, or a dead broker can "
            "lose them", name, found[name].replication_factor, MIN_INSYNC,
        )  # fmt: skip


def _with_single_copies(found: Mapping[str, Topic], settings: Mapping[str, Mapping[str, str | None]]) -> Iterable[str]:
    for name, topic in found.items():
        if topic.replication_factor >= 3 and int(settings[name].get(MIN_INSYNC) or 2) < 2:
            yield name


def _shown(topic: str, settings: Mapping[str, str | None], name: str) -> str:
    value = settings.get(name)
    if value is None:
        raise Fatal(f"the broker does not show {name} of {topic}; allow this user DescribeConfigs on it")
    return value
