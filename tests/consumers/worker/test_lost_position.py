"""Where a partition goes on after Kafka no longer has its next offset."""

from __future__ import annotations

from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from sightstream.consumers.kafka.offset_metadata import encode
from sightstream.consumers.kafka.types import KafkaReadError
from sightstream.consumers.metrics import REMOVED_BEFORE_READ
from sightstream.consumers.worker.assignment import Assignment
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.ledger import CommitPoint
from sightstream.consumers.worker.lost_position import RETRY_PAUSE_S, LostPositions
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.wire.dead_letter import RecordId

NO_OFFSET = -1001


class FakeConsumer:
    """One partition with a committed offset and a log; writes down where reading goes on."""

    def __init__(self) -> None:
        self.stored = TopicPartition("requests", 0, 10, "")
        self.log = (0, 50)
        self.error: KafkaException | None = None
        self.calls: list[tuple[str, int]] = []

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [self.stored]

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        if self.error:
            raise self.error
        return self.log

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        self.calls.append(("unassign", partitions[0].partition))

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.calls.append(("assign", partitions[0].offset))

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.calls.append(("resume", partitions[0].partition))


class Harness:
    """The positions of partition 0, committed at 10, between fakes."""

    def __init__(self, from_beginning: bool = False, metadata: str = "", offset: int = 10) -> None:
        self.now = 100.0
        self.consumer = FakeConsumer()
        self.consumer.stored = TopicPartition("requests", 0, offset, metadata)
        self.assignment = Assignment(cast(Consumer, self.consumer), "requests", 3900)
        self.assignment.assign([0])
        self.topic_error: Exception | None = None
        self.positions = LostPositions(
            cast(Consumer, self.consumer), self.assignment, self.confirm, from_beginning, lambda: self.now
        )
        self.positions.add(0)
        self.counted_before = REMOVED_BEFORE_READ._value.get()

    def confirm(self) -> None:
        if self.topic_error:
            raise self.topic_error

    @property
    def counted(self) -> float:
        return float(REMOVED_BEFORE_READ._value.get() - self.counted_before)

    @property
    def goes_on_at(self) -> int | None:
        return next((offset for call, offset in self.consumer.calls if call == "assign"), None)

    def committed(self) -> CommitPoint:
        (state,) = self.assignment
        return state.ledger.commit_point()


def test_what_retention_removed_is_passed_over_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(metadata=encode(10, ((12, 15), (30, 60))))
    harness.consumer.log = (40, 90)
    harness.positions.restore()
    assert harness.consumer.calls == [("unassign", 0), ("assign", 40), ("resume", 0)]
    assert harness.counted == 30 - 3 - 10  # what was finished beyond the committed offset has its outcome
    assert "17 offsets between 10 and 40" in caplog.text
    assert harness.committed() == CommitPoint(60, "")


def test_the_first_start_of_a_group_has_lost_nothing(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(offset=NO_OFFSET)
    harness.consumer.log = (40, 90)
    harness.positions.restore()
    assert (harness.goes_on_at, harness.counted, caplog.text) == (40, 0, "")


def test_it_is_done_once() -> None:
    harness = Harness()
    harness.consumer.log = (40, 90)
    harness.positions.restore()
    harness.positions.restore()
    assert len(harness.consumer.calls) == 3


def test_requests_in_progress_stay() -> None:
    harness = Harness()
    (state,) = harness.assignment
    for offset in range(10, 20):
        state.start(Delivery(RecordId("requests", 0, offset), b"k", b"v", []))
    harness.consumer.log = (25, 90)
    harness.positions.restore()
    assert (harness.counted, len(state.ledger), harness.committed().offset) == (5, 10, 10)


@pytest.mark.parametrize("end", [5, 10, 500])
def test_a_position_past_the_end_stops_the_worker(end: int) -> None:
    """Even if the topic has grown beyond it since: what lies below was never read."""
    harness = Harness()
    harness.consumer.log = (0, end)
    with pytest.raises(Fatal, match=rf"requests/0: the next offset is 10, but the topic ends at {end}.*from-beginning"):
        harness.positions.restore()
    assert harness.goes_on_at is None


def test_one_that_was_told_to_starts_at_the_oldest_request() -> None:
    harness = Harness(from_beginning=True)
    harness.consumer.log = (2, 5)
    harness.positions.restore()
    assert (harness.goes_on_at, harness.committed()) == (2, CommitPoint(2, ""))


def test_the_old_offset_does_not_come_back_after_a_commit_in_doubt() -> None:
    """Until the first commit Kafka still holds the offset past the end: all requests below it would seem published."""
    harness = Harness(from_beginning=True)
    harness.consumer.log = (0, 5)
    harness.positions.restore()
    (state,) = harness.assignment
    state.start(Delivery(RecordId("requests", 0, 0), b"k", b"v", []))
    harness.assignment.reload_committed()
    assert (len(state.ledger), harness.committed()) == (1, CommitPoint(0, ""))
    harness.consumer.stored = TopicPartition("requests", 0, 1, "")
    harness.assignment.reload_committed()
    assert (len(state.ledger), harness.committed()) == (0, CommitPoint(1, ""))


def test_with_requests_in_progress_it_stops_all_the_same() -> None:
    harness = Harness(from_beginning=True)
    (state,) = harness.assignment
    state.start(Delivery(RecordId("requests", 0, 10), b"k", b"v", []))
    harness.consumer.log = (0, 5)
    with pytest.raises(Fatal, match="the topic ends at 5"):
        harness.positions.restore()


def test_another_topic_is_named_as_such() -> None:
    harness = Harness(from_beginning=True)
    harness.topic_error = Fatal("another topic")
    with pytest.raises(Fatal, match="another topic"):
        harness.positions.restore()


def test_a_held_record_comes_first() -> None:
    """The ledger does not know it yet, so its offset would count as lost."""
    harness = Harness()
    (state,) = harness.assignment
    held = Delivery(RecordId("requests", 0, 10), b"k", b"v", [])
    state.hold(held)
    harness.consumer.log = (40, 90)
    harness.positions.restore()
    assert harness.consumer.calls == []
    state.held = None
    state.start(held)
    harness.positions.restore()
    assert (harness.goes_on_at, harness.counted, len(state.ledger)) == (40, 29, 1)


@pytest.mark.parametrize("asks_topic", [True, False])
def test_a_broker_that_does_not_answer_is_asked_again(asks_topic: bool) -> None:
    harness = Harness()
    harness.consumer.log = (40, 90)
    if asks_topic:
        harness.topic_error = KafkaReadError("away")
    else:
        harness.consumer.error = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    harness.positions.restore()
    harness.topic_error = harness.consumer.error = None
    harness.positions.restore()
    assert harness.goes_on_at is None  # not at once
    harness.now += RETRY_PAUSE_S
    harness.positions.restore()
    assert harness.goes_on_at == 40


def test_a_partition_that_left_meanwhile_is_forgotten() -> None:
    harness = Harness()
    harness.assignment.revoke([0])
    harness.positions.restore()
    assert harness.consumer.calls == []
