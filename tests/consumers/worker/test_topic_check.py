"""What a worker refuses at start, and what it only warns of."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import pytest

from sightstream.consumers.kafka.broker import CommittedOffset, Topic
from sightstream.consumers.kafka.types import KafkaReadError, PartitionId, PendingOffsets
from sightstream.consumers.worker.topic_check import check_group, check_topics
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.wire.topics import TopicSettings

TOPICS = TopicSettings(requests="requests", results="results", dead_letters="dead")
OUTCOME = PartitionId("results", 0)
GOOD = {"max.message.bytes": "2097152", "cleanup.policy": "delete", "min.insync.replicas": "2"}


@dataclass
class FakeBroker:
    copies: int = 3
    counts: dict[str, int] = field(default_factory=lambda: {"requests": 4, "results": 4, "dead": 4})
    settings: dict[str, dict[str, str | None]] = field(default_factory=dict)
    offsets: list[dict[PartitionId, CommittedOffset]] = field(default_factory=list)
    """What each reading of the group's offsets returns; the last one stays."""
    error: KafkaReadError | None = None
    is_committing: bool = False
    asked: list[str] = field(default_factory=list)

    def topics(self, names: Collection[str]) -> dict[str, Topic]:
        if self.error:
            raise self.error
        return {name: Topic(f"id of {name}", self.counts[name], self.copies) for name in names if name in self.counts}

    def topic_settings(self, topic: str) -> dict[str, str | None]:
        return GOOD | self.settings.get(topic, {})

    def partitions(self, topics: Collection[str]) -> list[PartitionId]:
        return [PartitionId(topic, 0) for topic in topics]

    def committed(self, group_id: str) -> dict[PartitionId, CommittedOffset]:
        self.asked.append("all")
        return self.offsets.pop(0) if len(self.offsets) > 1 else self.offsets[0]

    def stable_committed(self, group_id: str, partitions: Iterable[PartitionId]) -> dict[PartitionId, CommittedOffset]:
        self.asked.append("stable")
        if self.is_committing:
            raise PendingOffsets("a transaction is open")
        topics = {partition.topic for partition in partitions}
        return {at: offset for at, offset in self.offsets[0].items() if at.topic in topics}


def test_good_topics_pass_and_name_the_request_topics_id(caplog: pytest.LogCaptureFixture) -> None:
    assert check_topics(FakeBroker(), TOPICS) == "id of requests"
    assert not caplog.records


@pytest.mark.parametrize(
    ("broker", "message"),
    [
        (FakeBroker(counts={"requests": 4}), r"\['results', 'dead'\] do not exist"),
        (FakeBroker(counts={"requests": 4, "results": 4, "dead": 3}), "same number of partitions"),
        (FakeBroker(settings={"dead": {"max.message.bytes": "1000"}}), r"set max.message.bytes .*'dead': 1000"),
        (FakeBroker(settings={"results": {"max.message.bytes": None}}), "allow this user DescribeConfigs on it"),
        (FakeBroker(settings={"requests": {"cleanup.policy": "compact"}}), "set cleanup.policy=delete"),
        (FakeBroker(settings={"requests": {"cleanup.policy": "compact,delete"}}), "requests is compacted"),
        (FakeBroker(error=KafkaReadError("away")), "can't describe the topics: away"),
    ],
)
def test_topics_that_lose_or_refuse_records_stop_the_start(broker: FakeBroker, message: str) -> None:
    with pytest.raises(Fatal, match=message):
        check_topics(broker, TOPICS)


def test_a_single_copy_is_a_warning_where_there_are_brokers_enough(caplog: pytest.LogCaptureFixture) -> None:
    lone: dict[str, dict[str, str | None]] = {"results": {"min.insync.replicas": "1"}}
    check_topics(FakeBroker(copies=1, settings=lone), TOPICS)
    check_topics(FakeBroker(copies=2, settings=lone), TOPICS)
    assert not caplog.records
    check_topics(FakeBroker(copies=3, settings=lone), TOPICS)
    ((_, level, text),) = caplog.record_tuples
    assert level == logging.WARNING
    assert "results keeps 3 copies" in text
    assert "min.insync.replicas=2" in text


HERE = {PartitionId("requests", 1): CommittedOffset(5, None)}
ELSEWHERE = {PartitionId("other", 1): CommittedOffset(5, None)}


def check(*offsets: dict[PartitionId, CommittedOffset], outcome: PartitionId | None) -> None:
    check_group(FakeBroker(offsets=list(offsets)), "g", TOPICS, lambda partitions: outcome)


def test_a_new_group_on_new_topics_starts() -> None:
    check({}, outcome=None)
    check(ELSEWHERE, outcome=None)


def test_a_group_with_offsets_starts() -> None:
    check(HERE, outcome=OUTCOME)


def test_a_group_whose_first_commit_comes_while_we_look_starts() -> None:
    """The last reading waits for open transactions, the first one does not: it could wait for one of our own."""
    broker = FakeBroker(offsets=[{}, HERE])
    check_group(broker, "g", TOPICS, lambda partitions: OUTCOME)
    assert broker.asked == ["all", "stable"]


def test_a_group_that_commits_while_we_look_starts() -> None:
    """Workers start together, and one has outcomes already: its next transaction must not end the others."""
    check_group(FakeBroker(offsets=[{}], is_committing=True), "g", TOPICS, lambda partitions: OUTCOME)


@pytest.mark.parametrize("offsets", [{}, ELSEWHERE])
def test_outcomes_without_offsets_stop_the_start(offsets: dict[PartitionId, CommittedOffset]) -> None:
    with pytest.raises(Fatal, match=r"the group g has no offsets on requests, but .* results.* --from-beginning"):
        check(offsets, outcome=OUTCOME)


def test_what_can_not_be_read_stops_the_start() -> None:
    def fail(partitions: list[PartitionId]) -> None:
        raise KafkaReadError("silent")

    with pytest.raises(Fatal, match="can't read the offsets of the group g: silent"):
        check_group(FakeBroker(offsets=[{}]), "g", TOPICS, fail)
