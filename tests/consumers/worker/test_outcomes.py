"""What each outcome of the flow does to the ledger, the retry queue and the circuit breakers."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import cast

import pytest

from sightstream.consumers.worker import records
from sightstream.consumers.worker.assignment import Assignment, PartitionState
from sightstream.consumers.worker.delivery import Delivery
from sightstream.consumers.worker.ledger import Ledger
from sightstream.consumers.worker.outcomes import Outcomes
from sightstream.consumers.worker.records import OutgoingRecord
from sightstream.consumers.worker.retry_queue import RetryQueue
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.pipeline.errors import Cancelled, Fatal, PipelineError, Rejected, Retryable
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.types import NO_ANSWERS, FinishedAnswers, Origin, Outcome
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Failure, Reason, RecordId, Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import Answer, ImageResult, ModelIdentity, SeenImage, StageSeconds, TokenCounts
from sightstream.schemas.wire.topics import TopicSettings

STORE_DOWN = Retryable(Stage.FETCH, "503", "s3://b")
FOREIGN_DOWN = Retryable(Stage.FETCH, "503")
GONE = Rejected(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "404")
DENIED = Rejected(Reason.ACCESS_DENIED, Stage.FETCH, "403")
BUCKET = Origin("s3://b", "s3", is_dependency=True)
LATE = Rejected(Reason.DEADLINE_EXCEEDED, Stage.TAKE, "late")


class FakeFlow:
    """Returns the outcomes that a test puts in, and keeps the deliveries that are submitted."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.submitted: list[Delivery] = []
        self.finished: list[FinishedAnswers] = []

    def collect(self, timeout: float) -> list[Outcome]:
        found, self.outcomes = self.outcomes, []
        return found

    def submit(self, ticket: Delivery, request: ImageRequest, finished: FinishedAnswers = NO_ANSWERS) -> None:
        self.submitted.append(ticket)
        self.finished.append(finished)


class FakeAssignment:
    """One partition that stays assigned."""

    def __init__(self) -> None:
        self.state = PartitionState(0, Ledger[OutgoingRecord](0))

    def find(self, delivery: Delivery) -> PartitionState | None:
        return self.state if self.state.deliveries.get(delivery.record_id.offset) is delivery else None


class OutcomesHarness:
    """Outcomes between fakes, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.flow, self.assignment = FakeFlow(), FakeAssignment()
        settings = WorkerSettings(max_attempts=2, breaker_failures=2, breaker_probe_s=1)
        self.retry_queue = RetryQueue(settings, lambda: self.now, Random(1))
        assignment = cast(Assignment, self.assignment)  # the fakes have the parts that Outcomes uses
        self.outcomes = Outcomes(TopicSettings(), assignment, cast(Flow, self.flow), self.retry_queue)

    def start(self, offset: int) -> Delivery:
        request = ImageRequest(
            request_id="r",
            product_id=f"p{offset}",
            image=ImageRef(uri="s3://b/k"),
            question="?",
            submitted_at=datetime.now(UTC),
        )
        delivery = Delivery(RecordId("t", 0, offset), None, b"{}", [], request, origin=BUCKET)
        assert self.assignment.state.start(delivery)
        return delivery

    def end(
        self, delivery: Delivery, result: ImageResult | PipelineError, finished: FinishedAnswers = NO_ANSWERS
    ) -> None:
        self.flow.outcomes.append(Outcome(delivery, result, finished))
        self.outcomes.collect()

    @property
    def reasons(self) -> dict[int, str]:
        ready = self.assignment.state.ledger.publishable()
        return {offset: Failure.from_headers(one.headers).reason for offset, one in ready.items() if one.reason}


@pytest.fixture
def harness() -> OutcomesHarness:
    return OutcomesHarness()


def test_a_rejection_is_a_dead_letter_at_once(harness: OutcomesHarness) -> None:
    harness.end(harness.start(0), GONE)
    assert harness.reasons == {0: Reason.IMAGE_NOT_FOUND}


def test_a_passing_failure_is_submitted_again_and_given_up_in_the_end(harness: OutcomesHarness) -> None:
    delivery = harness.start(0)
    harness.end(delivery, FOREIGN_DOWN)
    assert harness.reasons == {}
    harness.now += 60
    harness.outcomes.retry_due()
    assert harness.flow.submitted == [delivery]
    harness.end(delivery, FOREIGN_DOWN)
    assert harness.reasons == {0: Reason.RETRIES_EXHAUSTED}


def test_what_a_failed_attempt_has_answered_goes_into_the_next(harness: OutcomesHarness) -> None:
    delivery = harness.start(0)
    finished = FinishedAnswers(("0" * 64,), {})
    harness.end(delivery, FOREIGN_DOWN, finished)
    harness.now += 60
    harness.outcomes.retry_due()
    assert harness.flow.finished == [finished]


@pytest.mark.parametrize(("answer", "ends_it"), [(GONE, True), (LATE, False)])
def test_an_answer_about_any_image_ends_an_outage(harness: OutcomesHarness, answer: Rejected, ends_it: bool) -> None:
    for offset in range(3):
        harness.end(harness.start(offset), STORE_DOWN)
    assert harness.retry_queue.down == {"s3://b"}
    harness.end(harness.start(3), answer)
    assert (harness.retry_queue.down == set()) == ends_it


def test_a_refusal_that_turns_out_to_be_one_images_own_keeps_its_reason(harness: OutcomesHarness) -> None:
    delivery = harness.start(0)
    harness.end(delivery, Retryable(Stage.FETCH, "403", "s3://b", DENIED))
    harness.now += 1
    harness.end(harness.start(1), answered(cached=False))
    harness.end(delivery, Retryable(Stage.FETCH, "403", "s3://b", DENIED))
    assert harness.reasons == {0: Reason.ACCESS_DENIED}


@pytest.mark.parametrize("cached", [True, False])
def test_an_answer_from_a_cache_does_not_end_an_outage_of_the_engine(harness: OutcomesHarness, cached: bool) -> None:
    for offset in range(3):
        harness.end(harness.start(2 * offset), Retryable(Stage.INFER, "503", "engine"))
        harness.end(harness.start(2 * offset + 1), STORE_DOWN)
    harness.end(harness.start(6), answered(cached))
    assert harness.retry_queue.down == ({"engine"} if cached else set())


def answered(cached: bool) -> ImageResult:
    return ImageResult(
        request_id="r",
        product_id="p",
        question="?",
        answer=Answer(),
        finish_reason="stop",
        complete=False,
        raw_text="",
        image=SeenImage(uri="s3://b/k", sha256="a" * 64, bytes=1, format="PNG", width=1, height=1),
        model=ModelIdentity(name="m", quantization="none", engine="remote"),
        tokens=TokenCounts(prompt=1, completion=1),
        seconds=StageSeconds(fetch=0, decode=0, infer=0, total=0),
        cached=cached,
        completed_at=datetime.now(UTC),
    )


def test_deliveries_of_revoked_partitions_change_nothing(harness: OutcomesHarness) -> None:
    delivery = harness.start(0)
    harness.assignment.state.deliveries.clear()
    harness.end(delivery, GONE)
    harness.end(harness.start(1), Cancelled("handed back"))
    assert harness.reasons == {}


def test_a_bug_that_one_result_triggers_is_a_dead_letter(
    harness: OutcomesHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_on_mine(result: ImageResult) -> bytes:
        if result.image.uri == "s3://b/k":
            raise ZeroDivisionError
        return encode(result)

    monkeypatch.setattr(records, "encode", fail_on_mine)
    harness.end(harness.start(0), answered(cached=False))
    assert harness.reasons == {0: Reason.INTERNAL_ERROR}


def test_results_that_can_not_be_written_at_all_stop_the_worker(
    harness: OutcomesHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(result: ImageResult) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(records, "encode", fail)
    with pytest.raises(Fatal, match="the stage publish is broken"):
        harness.end(harness.start(0), answered(cached=False))
    assert harness.reasons == {}
