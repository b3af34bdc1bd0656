"""What the topics must be like. A start stops or warns by these rules, and `sightstream doctor` lists all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sightstream.consumers.kafka.broker import Topic
from sightstream.schemas.wire.topics import MARKER_PARTITIONS, MAX_OUTCOME_RECORD_BYTES, TopicSettings

MAX_MESSAGE_BYTES = "max.message.bytes"
CLEANUP_POLICY = "cleanup.policy"
MIN_INSYNC = "min.insync.replicas"
COPIES_FOR_TWO_IN_SYNC = 3  # with fewer, one broker that is down would stop all writing

Described = Mapping[str, Topic]
ConfigByTopic = Mapping[str, Mapping[str, str | None]]


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """What is wrong with the topics and what to do; `kind` is a finding of the doctor. A fatal one stops the start."""

    kind: str
    detail: str
    is_fatal: bool = True


def partition_problems(names: tuple[str, ...], found: Described) -> Iterator[TopicProblem]:
    """Yield what is wrong with the existence and the partitions of the topics of requests and outcomes."""
    counts = {name: found[name].partitions if name in found else 0 for name in names}
    missing = [name for name, count in counts.items() if count == 0]
    if missing:
        yield TopicProblem("topic-missing", f"the topics {missing} do not exist; `sightstream up` creates them locally")
    elif len(set(counts.values())) > 1:
        yield TopicProblem(
            "topic-partitions-differ", f"the topics must have the same number of partitions, but have {counts}"
        )


def compaction_problems(name: str, config: Mapping[str, str | None]) -> Iterator[TopicProblem]:
    """Yield a problem for a compacted topic of requests: Kafka deletes one as soon as its product has another."""
    policy = config.get(CLEANUP_POLICY)
    if policy is None:
        yield _hidden(name, CLEANUP_POLICY)
    elif "compact" in policy:
        yield TopicProblem(
            "topic-compacted",
            f"{name} is compacted ({CLEANUP_POLICY}={policy}), which deletes requests before they are answered; set "
            f"{CLEANUP_POLICY}=delete on it",
        )


def size_problems(names: tuple[str, ...], config: ConfigByTopic) -> Iterator[TopicProblem]:
    """Yield a problem where the largest outcome does not fit."""
    shown = {name: config[name].get(MAX_MESSAGE_BYTES) for name in names}
    yield from (_hidden(name, MAX_MESSAGE_BYTES) for name, value in shown.items() if value is None)
    sizes = {name: int(value) for name, value in shown.items() if value is not None}
    if small := {name: size for name, size in sizes.items() if size < MAX_OUTCOME_RECORD_BYTES}:
        yield TopicProblem(
            "topic-record-size",
            f"set {MAX_MESSAGE_BYTES} of these topics to {MAX_OUTCOME_RECORD_BYTES} or more: {small}",
        )


def single_copy_problems(found: Described, config: ConfigByTopic) -> Iterator[TopicProblem]:
    """Yield where a broker that dies may hold the only copy of a record, though the topic has copies enough."""
    for name, topic in found.items():
        if topic.replication_factor >= COPIES_FOR_TWO_IN_SYNC and int(config[name].get(MIN_INSYNC) or 2) < 2:
            yield TopicProblem(
                "topic-single-copy",
                f"{name} keeps {topic.replication_factor} copies but accepts records that only one broker has; set "
                f"{MIN_INSYNC}=2 on it, or a dead broker can lose them",
                is_fatal=False,
            )


def pipeline_problems(topics: TopicSettings, found: Described, config: ConfigByTopic) -> Iterator[TopicProblem]:
    """Yield all that a worker looks at when it starts; `config` is that of the topics which exist."""
    names = (topics.requests, topics.results, topics.dead_letters)
    yield from partition_problems(names, found)
    if topics.requests in config:
        yield from compaction_problems(topics.requests, config[topics.requests])
    yield from size_problems(tuple(name for name in names[1:] if name in config), config)
    yield from single_copy_problems({name: found[name] for name in names if name in found and name in config}, config)


def marker_problems(topics: TopicSettings, found: Described, config: ConfigByTopic) -> Iterator[TopicProblem]:
    """Yield what makes the topic of redrives forget what was redriven."""
    name = topics.redrives
    if name not in found:
        yield TopicProblem(
            "redrives-missing",
            f"the topics {[name]} do not exist; create {name} with {MARKER_PARTITIONS} partition and "
            f"{CLEANUP_POLICY}=compact, or let `sightstream up` create all of them locally",
        )
    elif (policy := config[name].get(CLEANUP_POLICY)) is None:
        yield TopicProblem(
            "topic-config-hidden", f"the broker does not show the settings of {name}; allow this user to see them"
        )
    elif policy != "compact":
        yield TopicProblem(
            "redrives-not-compacted",
            f"{name} has {CLEANUP_POLICY}={policy} and would forget what was redriven; set it to compact",
        )


def _hidden(topic: str, setting: str) -> TopicProblem:
    return TopicProblem(
        "topic-config-hidden",
        f"the broker does not show {setting} of {topic}; allow this user DescribeConfigs on it",
    )
