"""When the consumer is polled, when it is left alone, and when it is paused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.intake import MAX_HELD_BYTES, PAUSE_AFTER_S, Detours, Intake
from sightstream.consumers.worker.ledger import Ledger
from sightstream.consumers.worker.lost_position import LostPositions
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.unreadable.cases import UnreadableBatches
from sightstream.pipeline.errors import Fatal, Rejected, Retryable
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.types import NO_ANSWERS, FinishedAnswers, Origin
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Reason, RecordId, Stage
from sightstream.schemas.wire.question import Condition, Question
from sightstream.schemas.wire.request import ImageRef, ImageRequest


def unreadable(offset: int) -> Message:
    """A record that does not parse."""
    return Message(topic="requests", partition=0, offset=offset, key=b"p", value=b"no request")


def readable(offset: int, bucket: str, partition: int = 0) -> Message:
    """A request for an image of that bucket."""
    request = ImageRequest(
        request_id="r",
        product_id="p",
        image=ImageRef(uri=f"s3://{bucket}/key"),
        question="?",
        submitted_at=datetime.now(UTC),
    )
    return Message(topic="requests", partition=partition, offset=offset, key=b"p", value=encode(request))


def origin_of(request: ImageRequest) -> Origin:
    bucket = request.all_images[0].uri.removeprefix("s3://").partition("/")[0]
    return Origin(f"s3://{bucket}", "s3", is_dependency=True)


END = KafkaError(KafkaError._PARTITION_EOF)


class FakeConsumer:
    """Delivers `messages` and writes down its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.messages: list[Message] = []
        self.paused: set[int] = set()

    def poll(self, timeout: float) -> Message | None:
        self.calls.append("poll")
        return self.messages.pop(0) if self.messages else None

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.calls.append("pause")
        self.paused |= {at.partition for at in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.calls.append("resume")
        self.paused -= {at.partition for at in partitions}


class FakeAssignment:
    """Partition 0, read from already, and others where a test adds them."""

    topic, unpublished, held_bytes = "requests", 0, 0

    def __init__(self) -> None:
        self.state = PartitionState(0, Ledger[OutgoingRecord](0), has_polled=True)
        self.states = [self.state]

    def add(self) -> PartitionState:
        self.states.append(PartitionState(len(self.states), Ledger[OutgoingRecord](0), has_polled=True))
        return self.states[-1]

    def __iter__(self) -> Iterator[PartitionState]:
        return iter(self.states)

    def get(self, partition: int) -> PartitionState:
        return self.states[partition]


class FakeFlow:
    """Keeps what is submitted. The image's bucket is its origin."""

    free_capacity = 1

    def __init__(self) -> None:
        self.submitted: list[Delivery] = []

    def origin(self, request: ImageRequest) -> Origin:
        return origin_of(request)

    def held_back(self, server: str | None = None) -> int:
        return 0

    def submit(self, ticket: Delivery, request: ImageRequest, finished: FinishedAnswers = NO_ANSWERS) -> None:
        self.submitted.append(ticket)


class FakeLostPositions:
    def __init__(self) -> None:
        self.partitions: list[int] = []

    def add(self, partition: int) -> None:
        self.partitions.append(partition)


class FakeReader:
    """An attempt that reports nothing."""

    def poll(self) -> None:
        return None

    def close(self) -> None:
        pass


class IntakeHarness:
    """An intake between fakes, with a clock that a test moves; `rejected` keeps the deliveries that were rejected."""

    def __init__(self) -> None:
        self.now = 100.0
        self.consumer, self.assignment, self.flow = FakeConsumer(), FakeAssignment(), FakeFlow()
        self.lost_positions = FakeLostPositions()
        self.readers: list[tuple[int, int]] = []
        self.unreadable = UnreadableBatches(cast(Assignment, self.assignment), self.start_reader, self.clock)
        self.rejected: list[tuple[Delivery, Rejected]] = []
        settings = WorkerSettings(max_unpublished=100, breaker_failures=2)
        self.retry_queue = RetryQueue(settings, self.clock, Random(1))
        self.intake = Intake(
            settings,
            cast(Consumer, self.consumer),  # the fakes have the parts that Intake uses
            cast(Assignment, self.assignment),
            cast(Flow, self.flow),
            self.retry_queue,
            lambda delivery, error: self.rejected.append((delivery, error)),
            self.clock,
            Detours(cast(LostPositions, self.lost_positions), self.unreadable),
        )

    def clock(self) -> float:
        return self.now

    def start_reader(self, partition: int, offset: int) -> FakeReader:
        self.readers.append((partition, offset))
        return FakeReader()

    def poll(self) -> list[str]:
        """Poll once and return the consumer's calls."""
        self.consumer.calls = []
        polled = self.intake.poll(0.02)
        assert polled == ("poll" in self.consumer.calls)
        return self.consumer.calls


@pytest.fixture
def harness() -> IntakeHarness:
    return IntakeHarness()


def test_a_worker_that_is_full_for_a_moment_pauses_nothing(harness: IntakeHarness) -> None:
    assert harness.poll() == ["poll"]
    for _ in range(10):
        harness.flow.free_capacity = 0
        assert harness.poll() == []
        harness.now += 0.9 * PAUSE_AFTER_S
        assert harness.poll() == []
        harness.flow.free_capacity = 1
        assert harness.poll() == ["poll"]


def test_one_that_stays_full_pauses_and_polls_on(harness: IntakeHarness) -> None:
    harness.flow.free_capacity = 0
    assert harness.poll() == []
    harness.now += PAUSE_AFTER_S
    assert harness.poll() == ["pause", "poll"]
    harness.now += 10
    assert harness.poll() == ["poll"]
    harness.flow.free_capacity = 1
    assert harness.poll() == ["resume", "poll"]
    harness.flow.free_capacity = 0
    assert harness.poll() == []


def test_a_partition_that_was_not_read_from_yet_is_not_paused(harness: IntakeHarness) -> None:
    harness.assignment.state.has_polled = False
    harness.flow.free_capacity = 0
    harness.poll()
    harness.now += PAUSE_AFTER_S
    assert harness.poll() == ["poll"]
    harness.assignment.state.has_polled = True
    assert harness.poll() == ["pause", "poll"]


def test_one_that_is_stopping_consumes_nothing_and_polls_on(harness: IntakeHarness) -> None:
    harness.intake.close()
    assert harness.poll() == []
    harness.now += PAUSE_AFTER_S
    assert harness.poll() == ["pause", "poll"]


@pytest.mark.parametrize(("capacity", "unpublished", "consumed"), [(3, 0, 3), (50, 96, 4), (50, 0, 10)])
def test_no_more_is_consumed_at_once_than_the_free_capacity(
    capacity: int, unpublished: int, consumed: int, harness: IntakeHarness
) -> None:
    harness.consumer.messages = [unreadable(offset) for offset in range(10)]
    harness.flow.free_capacity, harness.assignment.unpublished = capacity, unpublished
    polls = consumed if consumed < 10 else consumed + 1
    assert harness.poll() == ["poll"] * polls
    assert len(harness.assignment.state.ledger) == consumed


def with_questions(offset: int, *conditional: bool) -> Message:
    """A request with these questions, the conditional ones after the first."""
    when = Condition(question="q0", in_=("x",))
    questions = tuple(
        Question(id=f"q{number}", text="?", when=when if has_condition else None)
        for number, has_condition in enumerate(conditional)
    )
    request = ImageRequest(
        request_id="r",
        product_id="p",
        image=ImageRef(uri="s3://b/key"),
        questions=questions,
        submitted_at=datetime.now(UTC),
    )
    return Message(topic="requests", partition=0, offset=offset, key=b"p", value=encode(request))


def test_the_free_capacity_counts_questions_that_start_at_once(harness: IntakeHarness) -> None:
    harness.flow.free_capacity = 7
    harness.consumer.messages = [with_questions(offset, False, True, False, False, True) for offset in range(10)]
    harness.poll()
    assert len(harness.flow.submitted) == 3, "the last one exceeds the capacity by two"
    assert [delivery.questions for delivery in harness.flow.submitted] == [3, 3, 3]


def test_a_request_with_more_questions_than_there_is_capacity_starts_nevertheless(harness: IntakeHarness) -> None:
    harness.consumer.messages = [with_questions(offset, *[False] * 16) for offset in range(3)]
    harness.poll()
    assert len(harness.flow.submitted) == 1


def test_no_more_is_consumed_than_may_be_held(harness: IntakeHarness) -> None:
    harness.flow.free_capacity = 50
    harness.consumer.messages = [
        Message(topic="requests", partition=0, offset=offset, value=b"x" * 100_000) for offset in range(10)
    ]
    harness.assignment.held_bytes = MAX_HELD_BYTES - 1_200_000
    assert harness.poll() == ["poll"] * 3
    assert harness.assignment.state.held_bytes >= 1_200_000
    harness.assignment.held_bytes = MAX_HELD_BYTES
    assert harness.poll() == []


@pytest.mark.parametrize(
    "message",
    [
        Message(topic="requests", partition=0),
        Message(topic="requests", offset=0),
        Message(partition=0, offset=0),
        Message(topic="requests", partition=0, error=END),
    ],
)
def test_a_message_without_coordinates_is_an_internal_error_that_stops_the_worker(
    message: Message, harness: IntakeHarness
) -> None:
    harness.consumer.messages = [message]
    with pytest.raises(Fatal, match="internal error"):
        harness.poll()


class BadHeaders(Message):
    """confluent-kafka raises when a header's name is not UTF-8."""

    def headers(self) -> None:
        raise SystemError("a broken list")


def test_a_header_name_that_is_not_text_makes_the_record_malformed(harness: IntakeHarness) -> None:
    harness.consumer.messages = [BadHeaders(topic="requests", partition=0, offset=0, value=b"{}")]
    harness.poll()
    ((delivery, error),) = harness.rejected
    assert (error.reason, delivery.headers) == (Reason.MALFORMED, [])
    assert "header" in str(error)


def test_a_partition_is_read_up_to_its_end(harness: IntakeHarness) -> None:
    harness.assignment.state.has_polled = False
    harness.consumer.messages = [Message(topic="requests", partition=0, offset=7, error=END)]
    harness.poll()
    assert harness.assignment.state.has_polled
    assert harness.assignment.state.ledger.commit_point().offset == 7


def test_an_offset_that_goes_backwards_stops_the_worker(harness: IntakeHarness) -> None:
    harness.flow.free_capacity = 10
    harness.consumer.messages = [unreadable(5), unreadable(4)]
    with pytest.raises(Fatal, match="requests/0: offset 4 was delivered after 5"):
        harness.poll()


@pytest.mark.parametrize("code", [KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION])
def test_a_lost_position_is_handed_on(code: int, harness: IntakeHarness) -> None:
    harness.consumer.messages = [Message(topic="requests", partition=0, offset=7, error=KafkaError(code))]
    harness.poll()
    assert harness.lost_positions.partitions == [0]


@pytest.mark.parametrize(
    ("code", "acl"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "Read, Describe and DescribeConfigs on the request topic"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "Read and Describe on the workers' group"),
    ],
)
def test_a_missing_permission_stops_the_worker_and_names_the_acl(code: int, acl: str, harness: IntakeHarness) -> None:
    harness.consumer.messages = [Message(topic="requests", error=KafkaError(code))]
    with pytest.raises(Fatal, match=acl):
        harness.poll()


def test_a_client_that_gave_up_ends_the_worker(harness: IntakeHarness) -> None:
    harness.consumer.messages = [Message(error=KafkaError(KafkaError._FATAL))]
    with pytest.raises(Fatal, match="the consumer can't go on"):
        harness.poll()


def test_another_error_is_a_warning(harness: IntakeHarness) -> None:
    harness.consumer.messages = [Message(error=KafkaError(KafkaError._ALL_BROKERS_DOWN))]
    harness.poll()


# --- records that wait for what is down -------------------------------------------------------------------------


def fail(harness: IntakeHarness, count: int) -> list[Delivery]:
    """Let `count` requests for the bucket "down" fail; from the second on it counts as down."""
    failed = []
    for _ in range(count):
        origin = Origin("s3://down", "s3", is_dependency=True)
        failed.append(Delivery(RecordId("requests", 0, 0), None, b"", [], attempts=1, origin=origin))
        harness.retry_queue.add(failed[-1], Retryable(Stage.FETCH, "503", "s3://down"))
    return failed


def test_records_for_what_is_down_wait_without_an_attempt_and_others_are_worked_on(harness: IntakeHarness) -> None:
    fail(harness, 2)
    harness.flow.free_capacity = 100
    buckets = ["down", "up", "down", "down", "up"]
    harness.consumer.messages = [readable(offset, bucket) for offset, bucket in enumerate(buckets)]
    harness.poll()
    assert [one.record_id.offset for one in harness.flow.submitted] == [1, 4]
    assert harness.retry_queue.waiting_for("s3://down") == 5
    assert len(harness.assignment.state.ledger) == 5


def test_what_is_beyond_its_bound_pauses_only_its_partition(harness: IntakeHarness) -> None:
    failed = fail(harness, 50)
    other = harness.assignment.add()
    harness.flow.free_capacity = 100
    harness.consumer.messages = [readable(0, "up"), readable(1, "down"), readable(0, "up", 1), readable(1, "up", 1)]
    harness.poll()
    assert harness.consumer.paused == {0}
    assert [(one.record_id.partition, one.record_id.offset) for one in harness.flow.submitted] == [
        (0, 0),
        (1, 0),
        (1, 1),
    ]
    assert harness.assignment.state.ledger.commit_point().offset == 0
    assert not harness.assignment.state.ledger.is_pending(1), "no commit passes it, so a next owner reads it again"
    harness.poll()
    assert harness.consumer.paused == {0}
    assert len(other.ledger) == 2
    harness.retry_queue.discard(set(failed[:1]))
    assert harness.poll()[0] == "resume"
    assert harness.assignment.state.ledger.is_pending(1)
    assert harness.retry_queue.waiting_for("s3://down") == 50
    assert harness.consumer.paused == set()


def test_a_worker_that_is_full_leaves_a_held_record_where_it_is(harness: IntakeHarness) -> None:
    failed = fail(harness, 50)
    harness.consumer.messages = [readable(0, "down")]
    harness.poll()
    harness.retry_queue.discard(set(failed))
    harness.flow.free_capacity = 0
    harness.poll()
    assert harness.assignment.state.held is not None
    harness.flow.free_capacity = 1
    harness.poll()
    assert harness.assignment.state.held is None


def test_a_lost_position_behind_a_held_record_is_handed_on_after_it(harness: IntakeHarness) -> None:
    failed = fail(harness, 50)
    gone = Message(topic="requests", partition=0, offset=1, error=KafkaError(KafkaError._AUTO_OFFSET_RESET))
    harness.flow.free_capacity = 10
    harness.consumer.messages = [readable(0, "down"), gone]
    harness.poll()
    assert harness.lost_positions.partitions == []
    harness.retry_queue.discard(set(failed))
    harness.poll()
    assert harness.lost_positions.partitions == [0]
    assert harness.assignment.state.ledger.position == 1


def test_a_record_that_was_published_before_is_not_held(harness: IntakeHarness) -> None:
    fail(harness, 50)
    harness.assignment.states[0] = harness.assignment.state = PartitionState(0, Ledger(0, ((1, 2),)), has_polled=True)
    harness.consumer.messages = [readable(1, "down")]
    harness.poll()
    assert harness.assignment.state.held is None
    assert harness.consumer.paused == set()


def test_a_batch_that_the_client_can_not_read_blocks_its_partition_and_is_read_in_another_way(
    harness: IntakeHarness,
) -> None:
    harness.flow.free_capacity = 10
    too_large = KafkaError(KafkaError._BAD_COMPRESSION)
    harness.consumer.messages = [
        unreadable(0),
        Message(topic="requests", partition=0, offset=1, error=too_large),
        unreadable(0),
        Message(topic="requests", partition=0, offset=9, error=END),
    ]
    assert harness.poll() == ["poll", "poll", "pause", "poll", "poll", "poll"]
    harness.now += 10
    assert harness.poll() == ["poll"]
    assert harness.readers == [(0, 1)]
    assert len(harness.assignment.state.ledger) == 1
    assert harness.assignment.state.ledger.position == 1


def test_it_says_whether_the_consumer_had_more(harness: IntakeHarness) -> None:
    harness.consumer.messages = [readable(0, "b"), readable(1, "b")]
    harness.poll()
    assert not harness.intake.is_drained  # there was capacity for one
    harness.flow.free_capacity = 2
    harness.poll()
    assert harness.intake.is_drained
    harness.flow.free_capacity = 0
    harness.poll()
    assert not harness.intake.is_drained
    harness.intake.close()
    harness.poll()
    assert harness.intake.is_drained
