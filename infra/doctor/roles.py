"""The roles of a deployment, and the permissions on Kafka that each needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sightstream.consumers.redrive.kafka_topics import GROUP_ID as REDRIVE_GROUP
from sightstream.consumers.redrive.transaction import transactional_id as redrive_id
from sightstream.producers.transactional_sink import NAME_PREFIX as PUBLISH_PREFIX
from sightstream.schemas.wire.topics import TopicSettings

PROBE = "doctor"  # the end of names under a prefix: nobody has them, and asking changes nothing


class Role(StrEnum):
    """What a process does. `publisher` is the embedded client, `bulk-publisher` is `sightstream publish`."""

    PUBLISHER = "publisher"
    BULK_PUBLISHER = "bulk-publisher"
    WORKER = "worker"
    STORE = "store"
    REDRIVE = "redrive"
    LAG = "lag"


class Kind(StrEnum):
    """Kinds of resources that ACLs are about."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional id"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a role needs on one resource. Read and Write include Describe."""

    role: Role
    kind: Kind
    name: str
    operations: tuple[str, ...]

    @property
    def resource(self) -> str:
        """Return the resource as an ACL names it."""
        prefix = self.name.removesuffix(PROBE)
        return f"{self.kind} {self.name}" if prefix == self.name else f"{self.kind}s that begin with {prefix}"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the resources, by the settings."""

    topics: TopicSettings
    worker_group: str
    store_group: str
    lookup_group: str


def grants(role: Role, names: Names) -> list[Grant]:
    """Return what the role needs."""
    topics, outcomes = names.topics, (names.topics.results, names.topics.dead_letters)
    group, bulk = names.worker_group, f"{PUBLISH_PREFIX}-{PROBE}"
    watched = (names.worker_group, names.store_group, names.lookup_group)
    publish = (Kind.TOPIC, topics.requests, ("Write", "Describe"))
    needed: dict[Role, list[tuple[Kind, str, tuple[str, ...]]]] = {
        Role.PUBLISHER: [publish],
        Role.BULK_PUBLISHER: [
            publish,
            (Kind.TRANSACTIONAL_ID, bulk, ("Write",)),
            (Kind.GROUP, bulk, ("Read",)),
        ],
        Role.WORKER: [
            (Kind.TOPIC, topics.requests, ("Read", "Describe", "DescribeConfigs")),
            *((Kind.TOPIC, topic, ("Write", "Read", "Describe", "DescribeConfigs")) for topic in outcomes),
            (Kind.GROUP, group, ("Read",)),
            (Kind.TRANSACTIONAL_ID, f"{group}-{PROBE}", ("Write",)),
        ],
        Role.STORE: [
            *((Kind.TOPIC, topic, ("Read", "Describe")) for topic in outcomes),
            (Kind.GROUP, names.store_group, ("Read",)),
        ],
        Role.REDRIVE: [
            (Kind.TOPIC, topics.dead_letters, ("Read", "Describe")),
            (Kind.TOPIC, topics.redrives, ("Read", "Write", "Describe", "DescribeConfigs")),
            (Kind.TOPIC, topics.requests, ("Write", "Read", "Describe")),
            (Kind.GROUP, REDRIVE_GROUP, ("Read",)),
            (Kind.TRANSACTIONAL_ID, redrive_id(topics), ("Write",)),
        ],
        Role.LAG: [
            *((Kind.TOPIC, topic, ("Read", "Describe")) for topic in (topics.requests, *outcomes)),
            *((Kind.GROUP, name, ("Describe",)) for name in watched),
        ],
    }
    return [Grant(role, *one) for one in needed[role]]


def topics_of(roles: frozenset[Role], topics: TopicSettings) -> tuple[str, ...]:
    """Return the topics that these roles use."""
    first = (topics.requests,)
    if roles <= {Role.PUBLISHER, Role.BULK_PUBLISHER}:
        return first
    rest = (topics.results, topics.dead_letters)
    return (*first, *rest, *((topics.redrives,) if Role.REDRIVE in roles else ()))
