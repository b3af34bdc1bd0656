"""The topics against what every role needs of them, and the offsets of the workers' group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from confluent_kafka.admin import AdminClient

from sightstream.consumers.kafka.broker import Broker
from sightstream.consumers.kafka.topic_rules import (
    MIN_INSYNC,
    ConfigByTopic,
    Described,
    TopicProblem,
    compaction_problems,
    marker_problems,
    pipeline_problems,
)
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.doctor.roles import Role, topics_of
from sightstream.infra.doctor.types import Fact, Finding, Items, Unchecked
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings

TIMEOUT_S = 10.0


def check_topics(
    admin: AdminClient, kafka: KafkaSettings, topics: TopicSettings, worker: WorkerSettings, roles: frozenset[Role]
) -> Items:
    """Look at the topics that the roles use. Blocks."""
    broker = Broker(admin, TIMEOUT_S)
    names = topics_of(roles, topics)
    try:
        found = broker.topics(names)
        needed = set(names) if Role.WORKER in roles else {topics.redrives}  # whose settings a role must see
        shown = {name: _config(broker, name) for name in found}
        config = {name: own for name, own in shown.items() if own or name in needed}
    except KafkaReadError as error:
        yield Unchecked(f"the topics: {error}; allow this user Describe on them")
        return
    yield from topic_findings(topics, worker, found, config, names)
    for name, topic in found.items():
        yield Fact(name, f"{topic.partitions} partition(s), replication factor {topic.replication_factor}")
    if Role.WORKER in roles and len(found) == len(names):
        yield from _check_group(broker, kafka, topics, worker)


def topic_findings(
    topics: TopicSettings, worker: WorkerSettings, found: Described, config: ConfigByTopic, names: tuple[str, ...]
) -> Items:
    """Compare the topics with what is needed; `names` are those that the roles use."""
    for problem in _problems(topics, found, config, names):
        yield Finding(problem.kind, problem.detail)
    yield from _check_count(topics, found)
    yield from _check_retention(topics, worker, config)
    yield from _check_copies(found, config)


def _problems(
    topics: TopicSettings, found: Described, config: ConfigByTopic, names: tuple[str, ...]
) -> Iterator[TopicProblem]:
    if topics.results in names:
        yield from pipeline_problems(topics, found, config)
    elif topics.requests not in found:
        yield TopicProblem("topic-missing", f"the topic {topics.requests} does not exist; create it")
    elif topics.requests in config:
        yield from compaction_problems(topics.requests, config[topics.requests])
    if topics.redrives in names:
        yield from marker_problems(topics, found, config)


def _check_count(topics: TopicSettings, found: Described) -> Items:
    count = found[topics.requests].partitions if topics.requests in found else topics.partitions
    if count != topics.partitions:
        yield Finding(
            "topic-partitions-setting",
            f"{topics.requests} has {count} partitions, but [topics] partitions is {topics.partitions}: publishers "
            f"refuse to start; set it to {count}",
        )


def _check_retention(topics: TopicSettings, worker: WorkerSettings, config: ConfigByTopic) -> Items:
    """Records must stay as long as the longest outage that workers wait for."""
    needed_s = worker.outage_retry_timeout_s
    for name in (topics.requests, topics.results, topics.dead_letters):
        own = config.get(name, {})
        kept_ms, kept_bytes = _number(own, "retention.ms"), _number(own, "retention.bytes")
        if 0 <= kept_ms < needed_s * 1000:
            yield Finding(
                "topic-retention-short",
                f"{name} keeps records for {kept_ms / 1000:g} s (retention.ms), but workers retry for {needed_s:g} s "
                f"([worker] outage_retry_timeout_s): what waits that long is deleted unread; raise the first",
            )
        if kept_bytes >= 0:
            yield Finding(
                "topic-retention-by-size",
                f"{name} deletes records beyond {kept_bytes} bytes of a partition (retention.bytes), read or not; set "
                f"it to -1, or watch sightstream_worker_removed_before_read_total",
            )


def _check_copies(found: Described, config: ConfigByTopic) -> Items:
    for name, own in config.items():
        in_sync = _number(own, MIN_INSYNC)
        if in_sync == found[name].replication_factor > 1:
            yield Finding(
                "topic-no-spare-copy",
                f"{name} accepts records only while all {in_sync} brokers that keep it are up ({MIN_INSYNC}); give it "
                f"one copy more, or set {MIN_INSYNC} to {in_sync - 1}",
            )
        if own.get("unclean.leader.election.enable") == "true":
            yield Finding(
                "topic-unclean-election",
                f"{name} lets a broker that lags behind become the leader, which loses committed records; set "
                f"unclean.leader.election.enable=false on it",
            )


def _check_group(broker: Broker, kafka: KafkaSettings, topics: TopicSettings, worker: WorkerSettings) -> Items:
    from sightstream.consumers.worker.run import check_own_group

    try:
        check_own_group(broker, worker, kafka, topics)
    except Fatal as error:
        if isinstance(error.__cause__, KafkaReadError):
            yield Unchecked(str(error))
        else:
            yield Finding("group-offsets-lost", str(error))


def _config(broker: Broker, name: str) -> dict[str, str | None]:
    """Return the topic's configuration, nothing where this user may not see it."""
    try:
        return broker.topic_settings(name)
    except KafkaReadError:
        return {}


def _number(config: Mapping[str, str | None], name: str) -> int:
    """Return a number of the configuration, -1 where it is not shown."""
    return int(config.get(name) or -1)
