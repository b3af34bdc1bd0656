"""Checks the marker topic before anything is published: one that forgets would let a letter be redriven twice."""

from __future__ import annotations

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.topic_rules import marker_problems
from sightstream.consumers.redrive.errors import RedriveError
from sightstream.schemas.wire.topics import TopicSettings


def check_topics(broker: Broker, topics: TopicSettings) -> None:
    """Raise RedriveError unless all topics exist and the marker topic is compacted and deletes nothing by age.

    Raises KafkaReadError while the broker does not answer.
    """
    wanted = (topics.requests, topics.dead_letters, topics.redrives)
    found = broker.topics(wanted)
    if missing := [name for name in wanted[:2] if name not in found]:
        raise RedriveError(f"the topics {missing} do not exist; `sightstream up` creates them locally")
    config = {name: broker.topic_settings(name) for name in found if name == topics.redrives}
    for problem in marker_problems(topics, found, config):
        raise RedriveError(problem.detail)
