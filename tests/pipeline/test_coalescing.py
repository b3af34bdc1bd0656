"""Equal requests in progress: one does the work, the others wait and hold nothing, and each ends once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from sightstream.pipeline import in_flight
from sightstream.pipeline.cache.key import question_key
from sightstream.pipeline.coalescing import SingleFlight
from sightstream.pipeline.errors import Cancelled, Fatal, PipelineError, Rejected, Retryable
from sightstream.pipeline.types import Answered, EngineJob, FetchedImage, NotModified
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ImageResult
from tests.pipeline.flow_harness import FlowHarness, memory
from tests.pipeline.samples import request

URI = request().all_images[0].uri


def waiting(count: int, harness: FlowHarness, **changes: object) -> EngineJob:
    """Submit equal requests 0 to count - 1, of which the first leads, and return its job."""
    for number in range(count):
        harness.flow.submit(number, request(number, **changes))
    harness.run()
    assert harness.job.id == 0
    return harness.job


def test_waiters_get_the_answer_as_their_own() -> None:
    harness = FlowHarness()
    job = waiting(5, harness)
    assert harness.decoder.decoded == 1
    harness.pass_time(3)
    harness.end(job)
    outcomes = harness.outcomes()
    assert [outcomes[n].cached for n in range(5)] == [False, True, True, True, True]
    assert [outcomes[n].request_id for n in range(5)] == [f"r{n}" for n in range(5)]
    assert {outcomes[n].raw_text for n in range(5)} == {outcomes[0].raw_text}
    assert outcomes[4].seconds.infer == outcomes[4].seconds.total == 3  # it waited
    assert (outcomes[4].seconds.decode, outcomes[4].image) == (0, outcomes[0].image)


def test_waiters_hold_neither_bytes_nor_pixels_and_count_as_in_flight() -> None:
    harness = FlowHarness(limit=10)
    job = waiting(6, harness)
    assert harness.flow.free_capacity == 4
    assert harness.flow.held_bytes == len(job.pixels.rgb)
    assert len(harness.decoder.out) == 1
    assert not harness.hand.tasks
    harness.end(job)
    assert (harness.flow.free_capacity, harness.flow.held_bytes, harness.decoder.out) == (10, 0, [])


def test_requests_that_differ_do_not_wait() -> None:
    harness = FlowHarness()
    harness.store.contents["https://shop.example/b.jpg"] = b"b"
    harness.flow.submit("a", request(0))
    harness.flow.submit("b", request(1, "https://shop.example/b.jpg"))
    harness.flow.submit("why", request(2, question="why?"))
    harness.run()
    assert len(harness.engine.jobs) == 3


def test_it_can_be_switched_off() -> None:
    harness = FlowHarness(coalesce=False)
    for number in range(3):
        harness.flow.submit(number, request(number))
    harness.run()
    assert len(harness.engine.jobs) == 3


@pytest.mark.parametrize(
    "error",
    [Rejected(Reason.ENGINE_CRASH, Stage.INFER, "died"), Rejected(Reason.QUESTION_TOO_LONG, Stage.INFER, "long")],
)
def test_a_rejected_question_is_rejected_for_all_waiters(error: Rejected) -> None:
    harness = FlowHarness()
    harness.end(waiting(3, harness), error)
    outcomes = harness.outcomes()
    assert [(outcomes[n].reason, outcomes[n].stage, str(outcomes[n])) for n in range(3)] == [
        (error.reason, error.stage, str(error))
    ] * 3
    assert len({id(outcome) for outcome in outcomes.values()}) == 3


def test_a_broken_image_is_broken_for_all_waiters(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = FlowHarness()
    for number in range(3):
        harness.flow.submit(number, request(number))
    first, *others = [harness.hand.tasks.popleft() for _ in range(3)]

    def decode(data: bytes, max_tiles: int | None) -> None:
        for task in others:
            task()
        raise Rejected(Reason.IMAGE_CORRUPT, Stage.DECODE, "broken")

    monkeypatch.setattr(harness.decoder, "decode", decode)
    first()
    outcomes = harness.outcomes()
    assert [outcomes[n].reason for n in range(3)] == [Reason.IMAGE_CORRUPT] * 3


@pytest.mark.parametrize(
    "error",
    [
        Cancelled("cancelled"),
        Retryable(Stage.INFER, "down", "engine"),
        Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, "late"),
        Fatal("broken"),
    ],
)
def test_an_error_of_the_leader_alone_promotes_the_next(error: PipelineError) -> None:
    harness = FlowHarness()
    harness.end(waiting(3, harness), error)
    assert harness.outcomes() == {0: error}
    harness.run()
    assert harness.job.id == 1
    assert harness.store.downloads == 4  # the bytes were not held
    harness.end(harness.job)
    outcomes = harness.outcomes()
    assert [outcomes[n].cached for n in (1, 2)] == [False, True]


def test_bytes_count_while_they_are_decoded_and_not_while_a_request_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = FlowHarness()
    decode, held = harness.decoder.decode, []

    def watched(data: bytes, max_tiles: int | None) -> object:
        held.append(harness.flow.held_bytes)
        return decode(data)

    monkeypatch.setattr(harness.decoder, "decode", watched)
    waiting(3, harness)
    assert held == [10]


def test_the_time_before_a_promotion_counts_as_inference() -> None:
    harness = FlowHarness()
    job = waiting(2, harness)
    harness.pass_time(30)
    harness.end(job, Retryable(Stage.INFER, "down"))
    harness.run()
    harness.pass_time(4)
    harness.end(harness.job)
    seconds = harness.outcomes()[1].seconds
    assert (seconds.fetch, seconds.infer, seconds.total) == (0, 34, 34)


def test_a_leader_that_can_no_longer_fetch_promotes_the_next() -> None:
    harness = FlowHarness()
    other = "https://shop.example/copy.jpg"
    harness.flow.submit(0, request(0))
    harness.flow.submit(1, request(1))
    harness.flow.submit(2, request(2, other))
    harness.run()
    harness.store.errors[URI] = Rejected(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "gone")
    harness.end(harness.job, Retryable(Stage.INFER, "down"))
    harness.run()
    outcomes = harness.outcomes()
    assert outcomes[1].reason is Reason.IMAGE_NOT_FOUND
    harness.end(harness.job)
    assert isinstance(harness.outcomes()[2], ImageResult)


def test_a_waiter_that_is_cancelled_ends_at_once_and_the_others_do_not() -> None:
    harness = FlowHarness()
    job = waiting(4, harness)
    harness.flow.cancel({1, 3})
    assert {ticket: type(outcome) for ticket, outcome in harness.outcomes().items()} == {1: Cancelled, 3: Cancelled}
    harness.end(job)
    assert set(harness.outcomes()) == {0, 2}


def test_a_request_cancelled_just_before_it_waits_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = FlowHarness()
    job = waiting(1, harness)
    harness.flow.submit("late", request(9))
    fetch = harness.store.fetch

    def fetch_and_cancel(image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:
        harness.flow.cancel({"late"})
        return fetch(image, known_etag)

    monkeypatch.setattr(harness.store, "fetch", fetch_and_cancel)
    harness.run()
    assert isinstance(harness.outcomes()["late"], Cancelled)
    harness.end(job)
    assert set(harness.outcomes()) == {0}


def test_a_cancelled_leader_that_is_answered_nevertheless_shares_its_answer() -> None:
    harness = FlowHarness()
    job = waiting(2, harness)
    harness.flow.cancel({0})
    assert harness.engine.cancelled == {0}
    harness.end(job)
    assert {type(outcome) for outcome in harness.outcomes().values()} == {ImageResult}


def test_each_waiter_keeps_its_own_deadline() -> None:
    harness = FlowHarness()
    harness.flow.submit(0, request(0))
    for number, seconds in ((1, 5), (2, 50)):
        harness.flow.submit(number, request(number, deadline=harness.now + timedelta(seconds=seconds)))
    harness.run()
    harness.pass_time(10)
    harness.end(harness.job)
    outcomes = harness.outcomes()
    assert outcomes[1].reason is Reason.DEADLINE_EXCEEDED
    assert outcomes[2].cached


@pytest.mark.parametrize("number", [1, 2])
def test_a_waiter_past_its_deadline_ends_with_the_leader_even_if_that_fails(number: int) -> None:
    harness = FlowHarness()
    for ticket in range(4):
        deadline = harness.now + timedelta(seconds=5) if ticket == number else None
        harness.flow.submit(ticket, request(ticket, deadline=deadline))
    harness.run()
    harness.pass_time(10)
    harness.end(harness.job, Retryable(Stage.INFER, "down"))
    outcomes = harness.outcomes()
    assert set(outcomes) == {0, number}
    assert outcomes[number].reason is Reason.DEADLINE_EXCEEDED
    harness.run()
    assert harness.job.id == 3 - number if number == 2 else 2


def test_a_waiter_past_its_deadline_is_late_even_if_the_question_is_rejected() -> None:
    harness = FlowHarness()
    harness.flow.submit(0, request(0))
    harness.flow.submit(1, request(1, deadline=harness.now + timedelta(seconds=5)))
    harness.run()
    harness.pass_time(10)
    harness.end(harness.job, Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "refused"))
    assert {n: outcome.reason for n, outcome in harness.outcomes().items()} == {
        0: Reason.ENGINE_REFUSED,
        1: Reason.DEADLINE_EXCEEDED,
    }


def test_the_deadline_of_the_leader_does_not_end_its_waiters() -> None:
    harness = FlowHarness()
    harness.flow.submit(0, request(0, deadline=harness.now + timedelta(seconds=5)))
    harness.flow.submit(1, request(1))
    harness.run()
    harness.pass_time(10)
    harness.end(harness.job, Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, "late"))
    harness.run()
    assert harness.job.id == 1


def test_an_image_that_changes_meanwhile_separates_requests() -> None:
    harness = FlowHarness(memory())
    old = "https://shop.example/old-copy.jpg"
    harness.flow.submit(0, request(0))
    harness.flow.submit(1, request(1))
    harness.flow.submit(2, request(2, old))
    harness.run()
    before = harness.job.image_key
    harness.store.contents[URI] = b"new"
    harness.end(harness.job, Retryable(Stage.INFER, "down"))
    harness.run()
    seen = {job.id: job.image_key for job in harness.engine.jobs.values()}
    assert seen.keys() == {1, 2}
    assert seen[2] == before != seen[1]
    for job in list(harness.engine.jobs.values()):
        harness.end(job, str(job.image_key))
    outcomes = harness.outcomes()
    for number in (1, 2):
        assert outcomes[number].answer.conclusion == outcomes[number].image.sha256 == seen[number]


def test_a_promoted_request_does_not_answer_its_waiters_about_another_content() -> None:
    """Its URL now has a content that was answered before; the waiters for the old content must not get that answer."""
    harness = FlowHarness(memory())
    harness.store.contents[URI] = b"new"
    harness.flow.submit("before", request(8))
    harness.run()
    harness.end(harness.job, "new")
    harness.store.contents |= {URI: b"old", "s3://shop/copy": b"old"}
    for number, uri in enumerate((URI, URI, "s3://shop/copy")):
        harness.flow.submit(number, request(number, uri))
    harness.run()
    harness.store.contents[URI] = b"new"
    harness.flow.submit("after", request(9))  # now the new content is remembered
    harness.run()
    assert harness.outcomes().keys() == {"before", "after"}
    harness.end(harness.job, Retryable(Stage.INFER, "down"))
    harness.run()
    outcomes = harness.outcomes()
    assert outcomes.keys() == {0, 1}
    assert outcomes[1].answer.conclusion == "new"
    harness.end(harness.job, "old")
    assert harness.outcomes()[2].answer.conclusion == "old"


def test_a_cached_answer_found_by_the_leader_is_shared() -> None:
    kept = memory()
    harness = FlowHarness(kept)
    harness.model = None
    job = waiting(3, harness)
    harness.flow.submit("other", request(5, question="why?"))
    harness.run()
    harness.end(job, Retryable(Stage.INFER, "down"))
    elsewhere = FlowHarness(kept)
    elsewhere.flow.submit("same", request(7))
    elsewhere.run()
    elsewhere.end(elsewhere.job, "found")
    harness.model = harness.engine.identity
    harness.run()
    outcomes = harness.outcomes()
    assert [outcomes[n].answer.conclusion for n in (1, 2)] == ["found", "found"]


def test_after_the_stop_nothing_starts_and_nothing_raises() -> None:
    harness = FlowHarness()
    job = waiting(3, harness)
    harness.flow.stop()
    harness.end(job, Retryable(Stage.INFER, "down"))
    assert set(harness.outcomes()) == {0}
    harness.flow.cancel({1, 2})
    harness.run()


# --- the decisions of SingleFlight alone ------------------------------------------------------------------


@dataclass(eq=False)
class FakeWaiter:
    """A request of which only the key and what happens to its wait matter."""

    id: int
    key: str | None = "a"
    cancelled: bool = False
    reason: PipelineError | None = None

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise Cancelled("cancelled")

    def abort_reason(self) -> PipelineError | None:
        return self.reason

    def outcome_for(self, outcome: Answered | PipelineError) -> Answered | PipelineError:
        return outcome


def test_the_first_leads_and_equal_ones_wait() -> None:
    flight: SingleFlight[FakeWaiter] = SingleFlight()
    first, second, other, alone = FakeWaiter(1), FakeWaiter(2), FakeWaiter(3, "b"), FakeWaiter(4, None)
    decisions = [flight.join(waiter) for waiter in (first, second, other, alone, first)]
    assert decisions == [True, False, True, True, True]
    assert [flight.leads(waiter) for waiter in (first, second, other, alone)] == [True, False, True, False]
    assert (flight.cancel_wait(second), flight.cancel_wait(second), flight.cancel_wait(first)) == (True, False, False)


def test_a_leader_that_leaves_hands_its_waiters_over_and_joins_again() -> None:
    flight: SingleFlight[FakeWaiter] = SingleFlight()
    late = Rejected(Reason.DEADLINE_EXCEEDED, Stage.TAKE, "late")
    leader, aborted, successor = FakeWaiter(1), FakeWaiter(2, reason=late), FakeWaiter(3)
    for waiter in (leader, aborted, successor):
        flight.join(waiter)
    handover = flight.promote_next(leader)
    assert (handover.key, handover.successor) == ("a", successor)
    assert handover.endings == ((aborted, late),)
    assert (flight.leads(leader), flight.leads(successor)) == (False, True)
    leader.key = "b"
    assert flight.join(leader)
    assert flight.join(successor)


def test_a_cancelled_request_neither_leads_nor_waits() -> None:
    flight: SingleFlight[FakeWaiter] = SingleFlight()
    with pytest.raises(Cancelled):
        flight.join(FakeWaiter(1, cancelled=True))
    assert flight.join(FakeWaiter(2))


def test_an_outcome_is_resolved_once() -> None:
    flight: SingleFlight[FakeWaiter] = SingleFlight()
    leader, waiter = FakeWaiter(1), FakeWaiter(2)
    for each in (leader, waiter):
        flight.join(each)
    refused = Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "refused")
    assert flight.resolve(leader, refused).endings == ((waiter, refused),)
    assert flight.resolve(leader, refused).endings == ()


def test_the_key_is_computed_once_per_request(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []

    def counted(
        sha256s: tuple[str, ...], question: Question, options: AnalysisOptions, asked: ImageRequest
    ) -> str | None:
        computed.append(sha256s[0])
        return question_key(sha256s, question, options, asked)

    monkeypatch.setattr(in_flight, "question_key", counted)
    harness = FlowHarness(memory())
    harness.end(waiting(3, harness))
    harness.flow.submit("unchanged", request(9))
    harness.run()
    assert harness.outcomes()["unchanged"].cached
    assert len(computed) == 4
