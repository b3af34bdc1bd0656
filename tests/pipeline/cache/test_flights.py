"""Equal requests in progress: one works, the others wait and hold nothing, and each ends once with its due."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sightstream.pipeline.errors import Cancelled, Fatal, PipelineError, Rejected, Retryable
from sightstream.pipeline.types import EngineJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.result import ImageResult
from tests.pipeline.cache.flow_parts import Parts, memory
from tests.pipeline.cache.samples import request

URI = request().image.uri


def waiting(count: int, parts: Parts, **changes: object) -> EngineJob:
    """Requests 0 to count - 1, equal ones; the first leads."""
    for number in range(count):
        parts.flow.submit(number, request(number, **changes))
    parts.run()
    assert parts.job.id == 0
    return parts.job


def test_the_others_get_the_answer_as_their_own() -> None:
    parts = Parts()
    job = waiting(5, parts)
    assert parts.decoder.decoded == 1
    parts.pass_time(3)
    parts.end(job)
    outcomes = parts.outcomes()
    assert [outcomes[n].cached for n in range(5)] == [False, True, True, True, True]
    assert [outcomes[n].request_id for n in range(5)] == [f"r{n}" for n in range(5)]
    assert {outcomes[n].raw_text for n in range(5)} == {outcomes[0].raw_text}
    assert outcomes[4].seconds.infer == outcomes[4].seconds.total == 3  # it waited
    assert (outcomes[4].seconds.decode, outcomes[4].image) == (0, outcomes[0].image)


def test_those_that_wait_hold_neither_bytes_nor_pixels_and_count_as_in_flight() -> None:
    parts = Parts(most=10)
    job = waiting(6, parts)
    assert parts.flow.room == 4
    assert parts.flow.held_bytes == len(job.pixels.rgb)
    assert len(parts.decoder.out) == 1
    assert not parts.hand.tasks
    parts.end(job)
    assert (parts.flow.room, parts.flow.held_bytes, parts.decoder.out) == (10, 0, [])


def test_others_go_their_own_ways() -> None:
    parts = Parts()
    parts.store.contents["https://shop.example/b.jpg"] = b"b"
    parts.flow.submit("a", request(0))
    parts.flow.submit("b", request(1, "https://shop.example/b.jpg"))
    parts.flow.submit("why", request(2, question="why?"))
    parts.run()
    assert len(parts.engine.jobs) == 3


def test_it_can_be_switched_off() -> None:
    parts = Parts(share=False)
    for number in range(3):
        parts.flow.submit(number, request(number))
    parts.run()
    assert len(parts.engine.jobs) == 3


@pytest.mark.parametrize(
    "error",
    [Rejected(Reason.ENGINE_CRASH, Stage.INFER, "died"), Rejected(Reason.QUESTION_TOO_LONG, Stage.INFER, "long")],
)
def test_what_is_wrong_with_the_question_is_wrong_for_all(error: Rejected) -> None:
    parts = Parts()
    parts.end(waiting(3, parts), error)
    outcomes = parts.outcomes()
    assert [(outcomes[n].reason, outcomes[n].stage, str(outcomes[n])) for n in range(3)] == [
        (error.reason, error.stage, str(error))
    ] * 3
    assert len({id(outcome) for outcome in outcomes.values()}) == 3


def test_a_broken_image_is_broken_for_all_that_wait() -> None:
    parts = Parts()
    for number in range(3):
        parts.flow.submit(number, request(number))
    first, *others = [parts.hand.tasks.popleft() for _ in range(3)]

    def decode(data: bytes) -> None:
        for task in others:
            task()
        raise Rejected(Reason.IMAGE_CORRUPT, Stage.DECODE, "broken")

    parts.decoder.decode = decode  # type: ignore[assignment, method-assign]
    first()
    outcomes = parts.outcomes()
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
def test_what_concerns_the_first_alone_leaves_the_work_to_the_next(error: PipelineError) -> None:
    parts = Parts()
    parts.end(waiting(3, parts), error)
    assert parts.outcomes() == {0: error}
    parts.run()
    assert parts.job.id == 1
    assert parts.store.downloads == 4  # the bytes were not held
    parts.end(parts.job)
    outcomes = parts.outcomes()
    assert [outcomes[n].cached for n in (1, 2)] == [False, True]


def test_bytes_are_counted_while_they_are_decoded_and_not_while_one_waits() -> None:
    parts = Parts()
    decode, held = parts.decoder.decode, []

    def watched(data: bytes) -> object:
        held.append(parts.flow.held_bytes)
        return decode(data)

    parts.decoder.decode = watched  # type: ignore[assignment, method-assign]
    waiting(3, parts)
    assert held == [10]


def test_the_time_waited_in_vain_is_not_the_fetchers() -> None:
    parts = Parts()
    job = waiting(2, parts)
    parts.pass_time(30)
    parts.end(job, Retryable(Stage.INFER, "down"))
    parts.run()
    parts.pass_time(4)
    parts.end(parts.job)
    seconds = parts.outcomes()[1].seconds
    assert (seconds.fetch, seconds.infer, seconds.total) == (0, 34, 34)


def test_a_leader_that_can_no_longer_fetch_leaves_it_to_the_next() -> None:
    parts = Parts()
    other = "https://shop.example/copy.jpg"
    parts.flow.submit(0, request(0))
    parts.flow.submit(1, request(1))
    parts.flow.submit(2, request(2, other))
    parts.run()
    parts.store.errors[URI] = Rejected(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "gone")
    parts.end(parts.job, Retryable(Stage.INFER, "down"))
    parts.run()
    outcomes = parts.outcomes()
    assert outcomes[1].reason is Reason.IMAGE_NOT_FOUND
    parts.end(parts.job)
    assert isinstance(parts.outcomes()[2], ImageResult)


def test_one_cancelled_while_it_waits_ends_at_once_and_the_others_do_not() -> None:
    parts = Parts()
    job = waiting(4, parts)
    parts.flow.cancel({1, 3})
    assert {ticket: type(outcome) for ticket, outcome in parts.outcomes().items()} == {1: Cancelled, 3: Cancelled}
    parts.end(job)
    assert set(parts.outcomes()) == {0, 2}


def test_one_cancelled_on_its_way_to_wait_ends_at_once() -> None:
    parts = Parts()
    job = waiting(1, parts)
    parts.flow.submit("late", request(9))
    fetch = parts.store.fetch

    def fetch_and_cancel(*arguments: object) -> object:
        parts.flow.cancel({"late"})
        return fetch(*arguments)  # type: ignore[arg-type]

    parts.store.fetch = fetch_and_cancel  # type: ignore[assignment, method-assign]
    parts.run()
    assert isinstance(parts.outcomes()["late"], Cancelled)
    parts.end(job)
    assert set(parts.outcomes()) == {0}


def test_a_cancelled_leader_whose_answer_comes_all_the_same_shares_it() -> None:
    parts = Parts()
    job = waiting(2, parts)
    parts.flow.cancel({0})
    assert parts.engine.cancelled == {0}
    parts.end(job)
    assert {type(outcome) for outcome in parts.outcomes().values()} == {ImageResult}


def test_deadlines_are_each_ones_own() -> None:
    parts = Parts()
    parts.flow.submit(0, request(0))
    for number, seconds in ((1, 5), (2, 50)):
        parts.flow.submit(number, request(number, deadline=parts.now + timedelta(seconds=seconds)))
    parts.run()
    parts.pass_time(10)
    parts.end(parts.job)
    outcomes = parts.outcomes()
    assert outcomes[1].reason is Reason.DEADLINE_EXCEEDED
    assert outcomes[2].cached


@pytest.mark.parametrize("number", [1, 2])
def test_one_whose_deadline_has_passed_ends_with_the_leader_even_if_that_fails(number: int) -> None:
    parts = Parts()
    for ticket in range(4):
        deadline = parts.now + timedelta(seconds=5) if ticket == number else None
        parts.flow.submit(ticket, request(ticket, deadline=deadline))
    parts.run()
    parts.pass_time(10)
    parts.end(parts.job, Retryable(Stage.INFER, "down"))
    outcomes = parts.outcomes()
    assert set(outcomes) == {0, number}
    assert outcomes[number].reason is Reason.DEADLINE_EXCEEDED
    parts.run()
    assert parts.job.id == 3 - number if number == 2 else 2


def test_one_that_is_late_is_late_whatever_is_wrong_with_the_question() -> None:
    parts = Parts()
    parts.flow.submit(0, request(0))
    parts.flow.submit(1, request(1, deadline=parts.now + timedelta(seconds=5)))
    parts.run()
    parts.pass_time(10)
    parts.end(parts.job, Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "refused"))
    assert {n: outcome.reason for n, outcome in parts.outcomes().items()} == {
        0: Reason.ENGINE_REFUSED,
        1: Reason.DEADLINE_EXCEEDED,
    }


def test_the_leaders_own_deadline_is_nobody_elses() -> None:
    parts = Parts()
    parts.flow.submit(0, request(0, deadline=parts.now + timedelta(seconds=5)))
    parts.flow.submit(1, request(1))
    parts.run()
    parts.pass_time(10)
    parts.end(parts.job, Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, "late"))
    parts.run()
    assert parts.job.id == 1


def test_an_image_that_changes_meanwhile_parts_them() -> None:
    parts = Parts(memory())
    old = "https://shop.example/old-copy.jpg"
    parts.flow.submit(0, request(0))
    parts.flow.submit(1, request(1))
    parts.flow.submit(2, request(2, old))
    parts.run()
    before = parts.job.image_key
    parts.store.contents[URI] = b"new"
    parts.end(parts.job, Retryable(Stage.INFER, "down"))
    parts.run()
    seen = {job.id: job.image_key for job in parts.engine.jobs.values()}
    assert seen.keys() == {1, 2}
    assert seen[2] == before != seen[1]
    for job in list(parts.engine.jobs.values()):
        parts.end(job, str(job.image_key))
    outcomes = parts.outcomes()
    for number in (1, 2):
        assert outcomes[number].answer.conclusion == outcomes[number].image.sha256 == seen[number]


def test_one_that_takes_over_is_not_answered_about_another_content() -> None:
    """Its place now holds what was answered before: those that wait for the old content must not get that."""
    parts = Parts(memory())
    parts.store.contents[URI] = b"new"
    parts.flow.submit("before", request(8))
    parts.run()
    parts.end(parts.job, "new")
    parts.store.contents |= {URI: b"old", "s3://shop/copy": b"old"}
    for number, uri in enumerate((URI, URI, "s3://shop/copy")):
        parts.flow.submit(number, request(number, uri))
    parts.run()
    parts.store.contents[URI] = b"new"
    parts.flow.submit("after", request(9))  # now the new content is remembered
    parts.run()
    assert parts.outcomes().keys() == {"before", "after"}
    parts.end(parts.job, Retryable(Stage.INFER, "down"))
    parts.run()
    outcomes = parts.outcomes()
    assert outcomes.keys() == {0, 1}
    assert outcomes[1].answer.conclusion == "new"
    parts.end(parts.job, "old")
    assert parts.outcomes()[2].answer.conclusion == "old"


def test_an_answer_found_by_the_leader_is_shared() -> None:
    kept = memory()
    parts = Parts(kept)
    parts.model = None
    job = waiting(3, parts)
    parts.flow.submit("other", request(5, question="why?"))
    parts.run()
    parts.end(job, Retryable(Stage.INFER, "down"))
    elsewhere = Parts(kept)
    elsewhere.flow.submit("same", request(7))
    elsewhere.run()
    elsewhere.end(elsewhere.job, "found")
    parts.model = parts.engine.identity
    parts.run()
    outcomes = parts.outcomes()
    assert [outcomes[n].answer.conclusion for n in (1, 2)] == ["found", "found"]


def test_after_the_stop_nothing_starts_and_nothing_raises() -> None:
    parts = Parts()
    job = waiting(3, parts)
    parts.flow.stop()
    parts.end(job, Retryable(Stage.INFER, "down"))
    assert set(parts.outcomes()) == {0}
    parts.flow.cancel({1, 2})
    parts.run()
