"""Dependencies fail and recover, partitions pause, move and are lost: every record is published once, in any order."""

from __future__ import annotations

from collections import Counter, deque
from datetime import UTC, datetime
from random import Random
from typing import cast

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sightstream.consumers.worker.assignment import Assignment
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.intake import Detours, Intake
from sightstream.consumers.worker.lost_position import LostPositions
from sightstream.consumers.worker.outcomes import Outcomes
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.unreadable.batch_reader import BatchReader
from sightstream.consumers.worker.unreadable.cases import UnreadableBatches
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected, Retryable
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.types import NO_ANSWERS, FinishedAnswers, Origin, Outcome
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings

TOPIC = "requests"
BUCKETS = ("a", "b")
READ = Rejected(Reason.IMAGE_CORRUPT, Stage.DECODE, "an end that shows that the image was read")
SETTINGS = WorkerSettings(max_unpublished=6, breaker_failures=2, breaker_probe_s=1, backoff_s=0.1, max_backoff_s=1)

NO_LOSS = cast(LostPositions, None)  # the log keeps its records


class LogConsumer:
    """Partitions as librdkafka shows them: it goes on after the last delivered record, whatever is paused meanwhile.

    `leaks` records per pause are delivered although their partition is paused, which no release is known to do.
    """

    def __init__(self) -> None:
        self.logs: dict[int, dict[int, bytes]] = {0: {}, 1: {}}
        self.ends = {0: 0, 1: 0}
        self.positions: dict[int, int] = {}
        self.paused: set[int] = set()
        self.ended: set[int] = set()
        self.offsets: dict[int, tuple[int, str]] = {}
        self.leaks = 0
        self.leaking: deque[int] = deque()

    def append(self, partition: int, value: bytes, markers: int) -> None:
        self.logs[partition][self.ends[partition]] = value
        self.ends[partition] += 1 + markers
        self.ended.discard(partition)

    def poll(self, timeout: float) -> Message | None:
        if self.leaking:
            return self._next(self.leaking.popleft())
        for partition in sorted(self.positions.keys() - self.paused):
            if (message := self._next(partition)) is not None:
                return message
        return None

    def _next(self, partition: int) -> Message | None:
        rest = [offset for offset in self.logs[partition] if offset >= self.positions[partition]]
        if rest:
            self.positions[partition] = rest[0] + 1
            value = self.logs[partition][rest[0]]
            return Message(topic=TOPIC, partition=partition, offset=rest[0], value=value, key=b"k")
        if partition in self.ended:
            return None
        self.ended.add(partition)
        error = KafkaError(KafkaError._PARTITION_EOF)
        return Message(topic=TOPIC, partition=partition, offset=self.ends[partition], error=error)

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {at.partition for at in partitions}
        self.leaking += [at.partition for at in partitions for _ in range(self.leaks)]

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {at.partition for at in partitions}
        self.ended -= {at.partition for at in partitions}

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        none = (-1001, "")
        return [TopicPartition(TOPIC, at.partition, *self.offsets.get(at.partition, none)) for at in partitions]

    def start(self, partition: int) -> None:
        self.positions[partition] = max(0, self.offsets.get(partition, (0, ""))[0])
        self.ended.discard(partition)
        self.paused.discard(partition)


class FakeFlow:
    """Keeps what is submitted until the test ends it. The image's bucket is its origin."""

    free_capacity = 4

    def __init__(self) -> None:
        self.working: list[Delivery] = []
        self.outcomes: list[Outcome] = []

    def origin(self, request: ImageRequest) -> Origin:
        bucket = request.all_images[0].uri.removeprefix("s3://").partition("/")[0]
        return Origin(f"s3://{bucket}", "s3", is_dependency=True)

    def held_back(self, server: str | None = None) -> int:
        return 0

    def submit(self, ticket: Delivery, request: ImageRequest, finished: FinishedAnswers = NO_ANSWERS) -> None:
        self.working.append(ticket)

    def collect(self, timeout: float) -> list[Outcome]:
        found, self.outcomes = self.outcomes, []
        return found

    def cancel(self, tickets: set[Delivery]) -> None:
        gone = [one for one in self.working if one in tickets]
        self.working = [one for one in self.working if one not in tickets]
        self.outcomes += [Outcome(one, Cancelled("handed back")) for one in gone]


def _no_reader(partition: int, offset: int) -> BatchReader:
    raise AssertionError("every batch is readable here")


class Machine(RuleBasedStateMachine):
    """One worker after the other on two partitions, whose requests name two buckets."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.down: set[str] = set()
        self.published: Counter[tuple[int, int]] = Counter()

    @initialize(leaks=st.integers(0, 2))
    def build(self, leaks: int) -> None:
        self.consumer, self.flow = LogConsumer(), FakeFlow()
        self.consumer.leaks = leaks
        consumer, flow = cast(Consumer, self.consumer), cast(Flow, self.flow)  # the fakes have the parts that are used
        self.assignment = Assignment(consumer, TOPIC, 3900)
        self.queue = RetryQueue(SETTINGS, lambda: self.now, Random(1))
        self.outcomes = Outcomes(TopicSettings(), self.assignment, flow, self.queue)
        detours = Detours(NO_LOSS, UnreadableBatches(self.assignment, _no_reader, lambda: self.now))
        self.intake = Intake(
            SETTINGS, consumer, self.assignment, flow, self.queue, self.outcomes.reject, lambda: self.now, detours
        )
        for partition in (0, 1):
            self._assign(partition)

    def _assign(self, partition: int) -> None:
        self.assignment.assign([partition])
        self.consumer.start(partition)

    # --- the steps ----------------------------------------------------------------------------------------

    @rule(
        partition=st.integers(0, 1), bucket=st.sampled_from(BUCKETS), count=st.integers(1, 4), markers=st.integers(0, 2)
    )
    def publish(self, partition: int, bucket: str, count: int, markers: int) -> None:
        for _ in range(count):
            self.consumer.append(partition, request_for(bucket), markers)

    @rule(bucket=st.sampled_from(BUCKETS))
    def break_or_repair(self, bucket: str) -> None:
        self.down ^= {bucket}

    @rule(bucket=st.sampled_from(BUCKETS), partition=st.integers(0, 1), rounds=st.integers(2, 5))
    def outage(self, bucket: str, partition: int, rounds: int) -> None:
        """So many requests meet an outage that the next one is held, with others behind it."""
        self.down.add(bucket)
        for _ in range(rounds):
            self.publish(partition, bucket, 2, markers=0)
            self.publish(partition, BUCKETS[0], 1, markers=1)
            self.poll(0.1)
            while self.flow.working:
                self._end(self.flow.working.pop())

    @rule(seconds=st.sampled_from([0.0, 0.02, 1.0, 5.0]))
    def poll(self, seconds: float) -> None:
        self.now += seconds
        self.intake.poll(0)
        self.outcomes.collect()
        self.outcomes.retry_due()

    @precondition(lambda self: self.flow.working)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        self._end(self.flow.working.pop(data.draw(st.integers(0, len(self.flow.working) - 1))))

    def _end(self, delivery: Delivery) -> None:
        assert delivery.origin is not None
        name = delivery.origin.name
        is_down = name.removeprefix("s3://") in self.down
        result: PipelineError = Retryable(Stage.FETCH, "503", name) if is_down else READ
        self.flow.outcomes.append(Outcome(delivery, result))
        self.outcomes.collect()

    @rule()
    def commit(self) -> None:
        for state in self.assignment:
            ready = state.ledger.publishable()
            point = state.ledger.commit_point(ready)
            self.published.update((state.partition, offset) for offset in ready)
            self.consumer.offsets[state.partition] = (point.offset, point.metadata)
            state.mark_committed(point)

    @rule(partition=st.integers(0, 1), is_lost=st.booleans())
    def move(self, partition: int, is_lost: bool) -> None:
        if not is_lost:
            self.commit()
        (state,) = self.assignment.revoke([partition])
        deliveries = set(state.deliveries.values())
        self.queue.discard(deliveries)
        self.flow.cancel(deliveries)
        self.outcomes.collect()
        self.consumer.leaking = deque(at for at in self.consumer.leaking if at != partition)
        self._assign(partition)

    # --- what holds ---------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_published_twice(self) -> None:
        assert all(count == 1 for count in self.published.values())

    @invariant()
    def what_waits_is_bounded(self) -> None:
        if hasattr(self, "queue"):
            most = SETTINGS.max_unpublished + 2  # a partition is paused after its first record
            assert self.consumer.leaks or self.assignment.unpublished <= most
            assert all(len(state.behind_held) <= 2 * self.consumer.leaks for state in self.assignment)

    def teardown(self) -> None:
        if not hasattr(self, "queue"):
            return
        self.down.clear()
        wanted = {(at, offset) for at, log in self.consumer.logs.items() for offset in log}
        for _ in range(500):
            self.poll(5.0)
            while self.flow.working:
                self._end(self.flow.working.pop())
            self.commit()
            if self.published.keys() == wanted:
                break
        assert self.published.keys() == wanted, "every record has its outcome once the dependencies are back"
        self.poll(5.0)
        self.commit()
        assert {at: offset for at, (offset, _) in self.consumer.offsets.items() if offset > 0} == {
            at: end for at, end in self.consumer.ends.items() if end
        }


def request_for(bucket: str) -> bytes:
    return encode(
        ImageRequest(
            request_id="r",
            product_id="p",
            image=ImageRef(uri=f"s3://{bucket}/key"),
            question="?",
            submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
    )


TestHeldRecords = Machine.TestCase
TestHeldRecords.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
