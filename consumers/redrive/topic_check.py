"""Checks the marker topic before anything is published: one that forgets would let a letter be redriven twice."""

from __future__ import annotations

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.redrive.errors import RedriveError
from sightstream.schemas.wire.topics import MARKER_PARTITIONS, TopicSettings

CLEANUP_POLICY = "cleanup.policy"


def check_topics(broker: Broker, topics: TopicSettings) -> None:
    """Raise RedriveError unless all topics exist and the marker topic is compacted and deletes nothing by age.

    Raises KafkaReadError while the broker does not answer.
    """
    wanted = (topics.requests, topics.dead_letters, topics.redrives)
    found = broker.topics(wanted)
    if missing := [name for name in wanted if name not in found]:
        raise RedriveError(
            f"the topics {missing} do not exist; create {topics.redrives} with {MARKER_PARTITIONS} partition and "
            f"{CLEANUP_POLICY}=compact, or let `sightstream up` create all of them locally"
        )
    policy = broker.topic_settings(topics.redrives).get(CLEANUP_POLICY)
    if policy is None:
        raise RedriveError(f"the broker does not show the settings of {topics.redrives}; allow this user to see them")
    if policy != "compact":
        raise RedriveError(
            f"{topics.redrives} has {CLEANUP_POLICY}={policy} and would forget what was redriven; set it to compact"
        )
