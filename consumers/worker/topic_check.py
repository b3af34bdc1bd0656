"""Checks the topics and the group before the first record is consumed, so that a wrong one shows at start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from sightstream.consumers.kafka.broker import CommittedOffset, Topic
from sightstream.consumers.kafka.topic_rules import TopicProblem, compaction_problems, pipeline_problems
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId, PendingOffsets
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.wire.topics import TopicSettings

log = logging.getLogger(__name__)


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
        config = {name: broker.topic_settings(name) for name in found}
    except KafkaReadError as error:
        raise Fatal(
            f"can't describe the topics: {error}; with ACLs a worker needs Describe and DescribeConfigs on all three"
        ) from error
    raise_fatal(pipeline_problems(topics, found, config))
    return found[topics.requests].topic_id


def check_retention(name: str, config: Mapping[str, str | None]) -> None:
    """Raise Fatal for a compacted request topic."""
    raise_fatal(compaction_problems(name, config))


def raise_fatal(problems: Iterable[TopicProblem]) -> None:
    """Raise Fatal for the first problem that stops a start, and log those before it."""
    for problem in problems:
        if problem.is_fatal:
            raise Fatal(problem.detail)
        log.warning("%s", problem.detail)


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
