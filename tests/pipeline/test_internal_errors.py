"""A bug that one request triggers costs that request alone; a broken stage stops the worker; a short machine waits."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from sightstream.pipeline import in_flight_question, question_answer
from sightstream.pipeline.answer import ParsedAnswer, parse
from sightstream.pipeline.decode.health_check import HEALTH_CHECK_IMAGE
from sightstream.pipeline.errors import Fatal, PipelineError, Rejected, Retryable
from sightstream.pipeline.internal_errors import MAX_TRIES
from sightstream.pipeline.own_parts import FETCHER, LOCAL_RESOURCES
from sightstream.pipeline.question_answer import CheckedAnswer
from sightstream.pipeline.shortage import shortage
from sightstream.pipeline.stages import NO_SERVER, ServerBusy
from sightstream.pipeline.types import Completion, EngineJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ImageResult
from tests.pipeline.flow_harness import FlowHarness, memory
from tests.pipeline.samples import request

GOOD, BUGGY = "https://shop.example/good.jpg", "https://shop.example/buggy.jpg"
BUG = ZeroDivisionError("in a URL with a secret")
SHORTAGES: list[Exception] = [
    MemoryError(),
    OSError(errno.EAGAIN, "x"),
    OSError(errno.EMFILE, "x"),
    RuntimeError("can't start new thread"),
]


@pytest.fixture
def harness() -> FlowHarness:
    """A flow that has answered an image before."""
    harness = FlowHarness(memory())
    harness.store.contents = {GOOD: b"good", BUGGY: b"buggy"}
    assert isinstance(answer(harness, GOOD), ImageResult)
    harness.store.asked.clear()
    harness.decoder.decoded = 0
    return harness


def about(uri: str) -> ImageRequest:
    return request(image=ImageRef(uri=uri), question=f"about {uri}?")


def answer(harness: FlowHarness, uri: str, text: str = "a mug") -> Any:
    """Return how a request about the image ends, if the engine answers `text` each time it is asked."""
    harness.flow.submit("ticket", about(uri))
    harness.run()
    while harness.engine.jobs:
        harness.end(harness.job, text)
        harness.run()
    return harness.outcomes()["ticket"]


def is_internal_error(outcome: object, stage: Stage) -> bool:
    return isinstance(outcome, Rejected) and (outcome.reason, outcome.stage) == (Reason.INTERNAL_ERROR, stage)


def check_nothing_is_held(harness: FlowHarness) -> None:
    assert harness.decoder.out == []
    assert harness.flow.held_bytes == 0
    assert harness.flow._in_flight == {}


# --- a bug that one request triggers -------------------------------------------------------------------------


def test_a_bug_in_the_fetch_of_one_image_is_a_dead_letter_after_three_tries(harness: FlowHarness) -> None:
    harness.store.errors[BUGGY] = BUG
    outcome = answer(harness, BUGGY)
    assert is_internal_error(outcome, Stage.FETCH)
    assert "secret" not in str(outcome)
    assert [uri for uri, _ in harness.store.asked] == [BUGGY, GOOD] * MAX_TRIES
    check_nothing_is_held(harness)


def test_a_bug_in_the_decoding_of_one_image_is_told_as_such(harness: FlowHarness) -> None:
    harness.decoder.errors[b"buggy"] = BUG
    assert is_internal_error(answer(harness, BUGGY), Stage.DECODE)
    assert harness.decoder.decoded == 2 * MAX_TRIES
    check_nothing_is_held(harness)


def test_a_bug_in_the_reading_of_one_answer_asks_the_engine_again_and_ends_that_request_alone(
    harness: FlowHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_on_text(monkeypatch, "a bug")
    asked: list[int] = []
    submit = harness.engine.submit

    def count(job: EngineJob) -> None:
        asked.append(job.id)
        submit(job)

    monkeypatch.setattr(harness.engine, "submit", count)
    assert is_internal_error(answer(harness, BUGGY, "a bug"), Stage.INFER)
    assert len(asked) == MAX_TRIES
    check_nothing_is_held(harness)
    harness.store.contents["https://shop.example/other.jpg"] = b"other"
    assert isinstance(answer(harness, "https://shop.example/other.jpg"), ImageResult)


def fail_on_text(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    def parse_or_fail(text: str) -> ParsedAnswer:
        if any(bad in text for bad in texts):
            raise BUG
        return parse(text)

    monkeypatch.setattr(question_answer, "parse", parse_or_fail)


def test_a_bug_that_shows_only_once_costs_nothing(harness: FlowHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, failures = harness.decoder.decode, [BUG, BUG]

    def fail_twice(data: bytes, max_tiles: int | None = None) -> object:
        if data != HEALTH_CHECK_IMAGE and failures:
            raise failures.pop()
        return decode(data)

    monkeypatch.setattr(harness.decoder, "decode", fail_twice)
    assert isinstance(answer(harness, BUGGY), ImageResult)
    check_nothing_is_held(harness)


def test_a_bug_in_a_cached_answer_ends_that_request_alone(
    harness: FlowHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(answer(harness, BUGGY, "odd"), ImageResult)
    fail_on_text(monkeypatch, "odd")
    assert is_internal_error(answer(harness, BUGGY), Stage.INFER)


def test_equal_requests_do_not_inherit_an_internal_error(harness: FlowHarness) -> None:
    harness.decoder.errors[b"buggy"] = BUG
    for ticket in "ab":
        harness.flow.submit(ticket, about(BUGGY))
    harness.run()
    outcomes = harness.outcomes()
    assert sorted(outcomes) == ["a", "b"]
    assert all(is_internal_error(outcome, Stage.DECODE) for outcome in outcomes.values())
    assert harness.decoder.decoded == 2 * 2 * MAX_TRIES
    check_nothing_is_held(harness)


def test_a_bug_in_the_answer_for_a_waiting_request_is_its_own(
    harness: FlowHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ticket in "ab":
        harness.flow.submit(ticket, about(BUGGY))
    harness.run()
    check_answer = question_answer.check_answer

    def fail_if_cached(question: Question, completion: Completion, cached: bool) -> CheckedAnswer:
        if cached:
            raise BUG
        return check_answer(question, completion, cached)

    monkeypatch.setattr(in_flight_question, "check_answer", fail_if_cached)
    harness.end(harness.job)
    assert isinstance(harness.outcomes()["a"], ImageResult)
    harness.run()
    assert is_internal_error(harness.outcomes()["b"], Stage.INFER)
    check_nothing_is_held(harness)


def fail_always(*_: object) -> None:
    raise BUG


# --- the known-good job --------------------------------------------------------------------------------------


def test_without_an_image_to_compare_with_the_fetcher_counts_as_down() -> None:
    harness = FlowHarness()
    harness.store.errors[BUGGY] = BUG
    outcome = answer(harness, BUGGY)
    assert isinstance(outcome, Retryable)
    assert (outcome.stage, outcome.dependency) == (Stage.FETCH, FETCHER)


def test_a_fetcher_is_not_judged_by_images_of_another_kind_of_source(harness: FlowHarness) -> None:
    uri = "s3://bucket/key"
    harness.store.errors[uri] = BUG
    assert isinstance(answer(harness, uri), Retryable)


def test_a_known_good_image_that_has_gone_still_shows_that_the_fetcher_works(harness: FlowHarness) -> None:
    harness.store.errors = {BUGGY: BUG, GOOD: Rejected(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "gone")}
    assert is_internal_error(answer(harness, BUGGY), Stage.FETCH)


def test_a_source_that_is_down_meanwhile_decides_nothing(harness: FlowHarness) -> None:
    harness.store.errors = {BUGGY: BUG, GOOD: Retryable(Stage.FETCH, "503", "store")}
    outcome = answer(harness, BUGGY)
    assert isinstance(outcome, Retryable)
    assert outcome.dependency == "store"


def fatal(harness: FlowHarness) -> str:
    harness.flow.submit("ticket", about(BUGGY))
    harness.run()
    while harness.engine.jobs:
        harness.end(harness.job, "a bug")
        harness.run()
    with pytest.raises(Fatal) as caught:
        harness.outcomes()
    assert "secret" not in str(caught.value)
    return str(caught.value)


def test_a_stage_that_fails_on_a_known_good_job_as_well_stops_the_worker(
    harness: FlowHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.decoder.error = BUG
    assert fatal(harness) == "the stage decode is broken: ZeroDivisionError, on a known-good job as well"
    harness.decoder.error = None


@pytest.mark.parametrize("error", [BUG, TypeError("secret"), ServerBusy(NO_SERVER)], ids=repr)
def test_a_host_can_not_stop_the_worker_by_an_answer_that_triggers_a_bug(
    harness: FlowHarness, error: Exception
) -> None:
    """It may have served the known-good image, too; so that is no proof against the fetcher."""
    harness.store.errors = {BUGGY: BUG, GOOD: error}
    outcome = answer(harness, BUGGY)
    assert isinstance(outcome, Retryable)
    assert (outcome.stage, outcome.dependency, "secret" in str(outcome)) == (Stage.FETCH, FETCHER, False)


def test_a_broken_reading_of_answers_stops_the_worker(harness: FlowHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_answer, "parse", fail_always)
    assert "the stage infer is broken" in fatal(harness)


# --- a machine that is short of something --------------------------------------------------------------------


@pytest.mark.parametrize("error", SHORTAGES, ids=repr)
def test_a_short_machine_blames_no_image_and_tells_the_stage(harness: FlowHarness, error: Exception) -> None:
    harness.store.errors[BUGGY] = error
    assert short_at(answer(harness, BUGGY)) is Stage.FETCH
    harness.store.errors.clear()
    harness.decoder.errors[b"buggy"] = error
    assert short_at(answer(harness, BUGGY)) is Stage.DECODE
    check_nothing_is_held(harness)


def short_at(outcome: object) -> Stage:
    assert isinstance(outcome, Retryable)
    assert outcome.dependency == LOCAL_RESOURCES
    return outcome.stage


def test_a_machine_that_is_too_short_for_the_known_good_job_decides_nothing(harness: FlowHarness) -> None:
    harness.decoder.errors = {b"buggy": BUG, HEALTH_CHECK_IMAGE: MemoryError()}
    assert short_at(answer(harness, BUGGY)) is Stage.DECODE


def test_other_errors_are_no_shortage() -> None:
    others = [OSError(errno.EPERM, os.strerror(errno.EPERM)), RuntimeError("other"), BUG, OSError("no number")]
    assert [shortage(error, Stage.FETCH) for error in others] == [None] * len(others)


def test_the_known_good_job_never_ends_as_an_outcome(harness: FlowHarness) -> None:
    harness.decoder.errors[b"buggy"] = BUG
    outcome: PipelineError = answer(harness, BUGGY)
    assert isinstance(outcome, Rejected)
    assert harness.outcomes() == {}
