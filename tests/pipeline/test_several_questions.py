"""Several questions about the same images: conditions, parts that are shared, refusals, retries, and what is held."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sightstream.pipeline.errors import Cancelled, CapabilityMissing, PipelineError, Rejected, Retryable
from sightstream.pipeline.stages import NoCheck
from sightstream.pipeline.types import NO_ANSWERS, Completion, FinishedAnswers, Outcome
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.question import Condition, Question
from sightstream.schemas.wire.question_answer import Confidence, QuestionAnswer
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchema, JsonSchemaFormat
from sightstream.schemas.wire.result_v2 import ImageResultV2
from tests.pipeline.flow_harness import FlowHarness, memory
from tests.pipeline.samples import request

URI = "https://shop.example/0.jpg"
REFUSED = Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "too odd")
DOWN = Retryable(Stage.INFER, "down", "engine")


def asked(name: str, after: str | None = None, *values: object, text: str | None = None) -> Question:
    """Return a question whose text is its name, asked if the one `after` has one of the values."""
    when = Condition.model_validate({"question": after, "in": values}) if after else None
    return Question(id=name, text=text or name, when=when)


def about(number: int, *questions: Question, **changes: object) -> ImageRequest:
    """Return a request with these questions about the image at URI."""
    return request(number, **{"question": None, "questions": questions, **changes})


def submit(harness: FlowHarness, *requests: ImageRequest, finished: FinishedAnswers = NO_ANSWERS) -> None:
    """Submit requests under the number in their ids, and bring them to the engine."""
    for one in requests:
        harness.flow.submit(int(one.request_id[1:]), one, finished)
    harness.run()


def end(harness: FlowHarness, text: str, outcome: PipelineError | str) -> None:
    harness.end(harness.jobs_by_question()[text], outcome)
    harness.run()


def answers(outcome: Any) -> dict[str, QuestionAnswer]:
    assert isinstance(outcome, ImageResultV2), outcome
    return {answer.id: answer for answer in outcome.answers}


def statuses(outcome: Any) -> dict[str, str]:
    return {name: answer.status for name, answer in answers(outcome).items()}


def check_nothing_is_held(harness: FlowHarness) -> None:
    assert (harness.flow.held_bytes, harness.decoder.out) == (0, [])
    flights = harness.flow._single_flight
    assert (flights._flights, flights._led, flights._awaited) == ({}, {}, {})
    assert (harness.flow._in_flight, harness.flow._questions) == ({}, {})


# --- one request ------------------------------------------------------------------------------------------


def test_each_question_is_answered_and_the_image_is_fetched_and_decoded_once() -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("a"), asked("b"), asked("c"), attributes={"own": "yes"}))
    assert set(harness.jobs_by_question()) == {"a", "b", "c"}
    assert {job.image_key for job in harness.engine.jobs.values()} == {harness.jobs_by_question()["a"].image_key}
    harness.pass_time(3)
    for text in ("c", "a", "b"):
        assert harness.outcomes() == {}
        end(harness, text, f"about {text}")
    result = harness.outcomes()[1]
    assert [(answer.id, answer.value, answer.valid) for answer in result.answers] == [
        ("a", "about a", True),
        ("b", "about b", True),
        ("c", "about c", True),
    ]
    assert (result.tokens.prompt, result.tokens.completion, result.cached) == (9, 15, False)
    assert (result.attributes, result.seconds.infer, result.seconds.total) == ({"own": "yes"}, 3, 3)
    assert (harness.store.downloads, harness.decoder.decoded) == (1, 1)
    check_nothing_is_held(harness)


def test_a_request_of_version_1_gets_a_result_of_version_1() -> None:
    harness = FlowHarness()
    submit(harness, request(1))
    assert not harness.job.stops_repetition
    harness.end(harness.job)
    assert harness.outcomes()[1].schema_version == 1
    submit(harness, request(1, schema_version=2))
    assert harness.job.stops_repetition
    harness.end(harness.job)
    assert statuses(harness.outcomes()[1]) == {"answer": "answered"}


def test_a_question_is_asked_once_its_condition_holds_and_skipped_where_it_does_not() -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("kind"), asked("mug", "kind", "mug"), asked("jug", "kind", "jug", "can")))
    assert set(harness.jobs_by_question()) == {"kind"}
    end(harness, "kind", "mug")
    assert set(harness.jobs_by_question()) == {"mug"}
    assert harness.decoder.decoded == 1
    end(harness, "mug", "red")
    result = harness.outcomes()[1]
    assert statuses(result) == {"kind": "answered", "mug": "answered", "jug": "skipped"}
    assert answers(result)["jug"].detail == "kind is none of the values that the condition names"
    check_nothing_is_held(harness)


def test_what_follows_a_skipped_or_refused_question_is_skipped_with_the_reason() -> None:
    harness = FlowHarness()
    questions = (asked("a"), asked("b"), asked("c", "a", "x"), asked("d", "c", "x"), asked("e", "b", "x"))
    submit(harness, about(1, *questions))
    end(harness, "a", "y")
    end(harness, "b", REFUSED)
    result = harness.outcomes()[1]
    assert statuses(result) == {"a": "answered", "b": "refused", "c": "skipped", "d": "skipped", "e": "skipped"}
    details = {name: answer.detail for name, answer in answers(result).items()}
    assert (details["b"], details["d"], details["e"]) == (
        "too odd",
        "the question c is skipped",
        "the question b is refused",
    )


def test_a_request_whose_only_answers_are_refusals_is_a_dead_letter() -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("a"), asked("b"), asked("c", "a", "x")))
    too_long = Rejected(Reason.QUESTION_TOO_LONG, Stage.INFER, "long")
    end(harness, "b", too_long)
    end(harness, "a", REFUSED)
    assert harness.outcomes() == {1: REFUSED}
    check_nothing_is_held(harness)


@pytest.mark.parametrize(
    "error",
    [
        CapabilityMissing("json_schema", "not here"),
        Rejected(Reason.ENGINE_CRASH, Stage.INFER, "died"),
        Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, "late"),
        Cancelled("cancelled"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_end_the_whole_request_once_the_engine_has_none_of_it(error: PipelineError) -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("a"), asked("b"), asked("c", "b", "x")))
    end(harness, "a", error)
    assert harness.outcomes() == {}, "the engine still reads the pixels"
    (job,) = harness.engine.jobs.values()
    assert harness.engine.cancelled == {job.id}
    assert len(harness.decoder.out) == 1
    end(harness, "b", "x")
    assert harness.outcomes() == {1: error}
    assert harness.engine.jobs == {}
    check_nothing_is_held(harness)


def test_a_deadline_that_passes_ends_the_request_before_the_next_question_starts() -> None:
    harness = FlowHarness()
    questions = (asked("a"), asked("b", "a", "x"))
    submit(harness, about(1, *questions, deadline=harness.now + timedelta(seconds=5)))
    harness.pass_time(10)
    end(harness, "a", "x")
    assert harness.outcomes()[1].reason is Reason.DEADLINE_EXCEEDED
    check_nothing_is_held(harness)


def test_a_cancelled_request_gives_its_jobs_up_and_starts_no_more() -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("a"), asked("b", "a", "x")))
    harness.flow.cancel({1})
    assert harness.engine.cancelled == {harness.job.id}
    end(harness, "a", "x")
    assert isinstance(harness.outcomes()[1], Cancelled)
    check_nothing_is_held(harness)


def test_a_format_that_can_not_be_used_ends_the_request_before_anything_is_fetched() -> None:
    harness = FlowHarness()
    unusable = Rejected(Reason.SCHEMA_UNUSABLE, Stage.TAKE, "no")

    class Refusing(NoCheck):
        def check(self, request: ImageRequest) -> None:
            raise unusable

    harness.flow._request_check = Refusing()
    submit(harness, about(1, asked("a")))
    assert harness.outcomes() == {1: unusable}
    assert harness.store.asked == []


# --- formats ----------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["mug", 1, True, None]}, "note": {"type": "string"}},
    "required": ["kind"],
    "additionalProperties": False,
}
PRODUCT = JsonSchemaFormat(json_schema=JsonSchema(name="product", schema_=SCHEMA))
COLOURS = ChoiceFormat(choices=("red", "red wine"))


def after_field(field: str, *values: object) -> Question:
    """Return a question that is asked if the field of the JSON of `product` has one of the values."""
    when = Condition.model_validate({"question": "product", "field": field, "in": values})
    return Question(id="late", text="late", when=when)


def test_a_constrained_answer_has_its_value_and_how_sure_the_model_was() -> None:
    harness = FlowHarness(memory())
    product = Question(id="product", text="product", response_format=PRODUCT)
    colour = Question(id="colour", text="colour", response_format=COLOURS, reasoning=True)
    submit(harness, about(1, product, colour))
    jobs = harness.jobs_by_question()
    assert (jobs["product"].response_format, jobs["product"].reasons) == (PRODUCT, False)
    assert (jobs["colour"].response_format, jobs["colour"].reasons) == (COLOURS, True)
    confidence = Confidence(kind="exact", value=0.9)
    harness.end(jobs["colour"], Completion("red wine", "stop", 3, 5, "it is\0 dark", confidence))
    end(harness, "product", '{"kind":"mug"}')
    first = answers(harness.outcomes()[1])
    assert (first["product"].value, first["product"].raw_text) == ({"kind": "mug"}, '{"kind":"mug"}')
    assert (first["colour"].value, first["colour"].reasoning) == ("red wine", "it is dark")
    assert (first["colour"].confidence, first["colour"].valid) == (confidence, True)
    submit(harness, about(2, product, colour))
    again = answers(harness.outcomes()[2])
    assert {name: answer.model_copy(update={"cached": False}) for name, answer in again.items()} == first
    assert all(answer.cached for answer in again.values())


@pytest.mark.parametrize(
    ("text", "problem"),
    [('{"kind":', "The answer is no JSON"), ('{"kind":"jug"}', "The answer does not fit the schema")],
)
def test_a_text_that_is_no_value_of_the_format_is_invalid_and_what_follows_it_is_skipped(
    text: str, problem: str
) -> None:
    harness = FlowHarness()
    submit(harness, about(1, Question(id="product", text="product", response_format=PRODUCT), after_field("kind", 1)))
    harness.end(harness.job, Completion(text, "length", 3, 5))
    found = answers(harness.outcomes()[1])
    product = found["product"]
    assert (product.status, product.value, product.valid, product.finish_reason) == ("invalid", None, False, "length")
    assert problem in str(product.detail)
    assert (found["late"].status, found["late"].detail) == ("skipped", "the question product is invalid")


@pytest.mark.parametrize(
    ("text", "question", "is_asked"),
    [
        ('{"kind":1}', after_field("kind", 1), True),
        ('{"kind":1.0}', after_field("kind", 1), True),
        ('{"kind":1}', after_field("kind", "1", True, None), False),
        ('{"kind":true}', after_field("kind", 1), False),
        ('{"kind":true}', after_field("kind", True), True),
        ('{"kind":null}', after_field("kind", None), True),
        ('{"kind":"mug"}', after_field("note", None), False),
    ],
)
def test_conditions_compare_json_values_by_type(text: str, question: Question, is_asked: bool) -> None:
    harness = FlowHarness()
    submit(harness, about(1, Question(id="product", text="product", response_format=PRODUCT), question))
    end(harness, "product", text)
    assert bool(harness.engine.jobs) == is_asked
    if not is_asked:
        assert statuses(harness.outcomes()[1]) == {"product": "answered", "late": "skipped"}


# --- several images ---------------------------------------------------------------------------------------


def images(*uris: str) -> dict[str, object]:
    return {"image": None, "images": tuple(ImageRef(uri=uri) for uri in uris)}


def test_the_engine_gets_all_images_in_order_and_the_result_names_each() -> None:
    harness = FlowHarness()
    harness.store.contents = {"s3://b/1": b"1", "s3://b/2": b"22", "s3://b/3": b"333"}
    submit(harness, about(1, asked("a"), asked("b"), **images("s3://b/1", "s3://b/2", "s3://b/3")))
    job = harness.jobs_by_question()["a"]
    assert [each.height for each in (job.pixels, *job.more_pixels)] == [1, 2, 3]
    assert harness.decoder.max_tiles == [1, 1, 1]
    assert harness.flow.held_bytes == 900
    for text in "ab":
        end(harness, text, "x")
    seen = harness.outcomes()[1].images
    assert [(image.uri, image.bytes) for image in seen] == [("s3://b/1", 1), ("s3://b/2", 2), ("s3://b/3", 3)]
    assert len({image.sha256 for image in seen}) == 3
    check_nothing_is_held(harness)


def test_one_missing_or_broken_image_ends_the_request_and_is_named() -> None:
    harness = FlowHarness()
    harness.store.contents = {"s3://b/1": b"1", "s3://b/2": b"22"}
    harness.store.errors["s3://b/2"] = Rejected(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "gone")
    one = about(1, asked("a"), **images("s3://b/1", "s3://b/2"))
    submit(harness, one)
    missing = harness.outcomes()[1]
    assert (missing.reason, str(missing)) == (Reason.IMAGE_NOT_FOUND, "images[1]: gone")
    harness.store.errors.clear()
    harness.decoder.errors[b"22"] = Rejected(Reason.IMAGE_CORRUPT, Stage.DECODE, "broken")
    submit(harness, one)
    corrupt = harness.outcomes()[1]
    assert (corrupt.reason, str(corrupt)) == (Reason.IMAGE_CORRUPT, "images[1]: broken")
    harness.store.errors["s3://b/1"] = Retryable(Stage.FETCH, "503", "s3://b")
    submit(harness, one)
    down = harness.outcomes()[1]
    assert (str(down), down.dependency) == ("images[0]: 503", "s3://b")
    check_nothing_is_held(harness)


def test_low_detail_is_one_tile_and_another_key() -> None:
    harness = FlowHarness(memory())
    for number, detail in enumerate(("high", "low")):
        submit(harness, about(number, asked("a"), detail=detail))
    assert harness.decoder.max_tiles == [None, 1]
    assert len({job.image_key for job in harness.engine.jobs.values()}) == 2
    for job in list(harness.engine.jobs.values()):
        harness.end(job)
    assert [result.images[0].detail for result in harness.outcomes().values()] == ["high", "low"]


# --- what two requests share ------------------------------------------------------------------------------


def test_two_requests_that_have_one_of_three_questions_in_common_compute_it_once() -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("a"), asked("b"), asked("same")))
    submit(harness, about(2, asked("other", text="same"), asked("c"), asked("d")))
    assert sorted(job.question for job in harness.engine.jobs.values()) == ["a", "b", "c", "d", "same"]
    for text in ("same", "a", "b", "c", "d"):
        end(harness, text, f"about {text}")
    outcomes = harness.outcomes()
    assert answers(outcomes[1])["same"].value == answers(outcomes[2])["other"].value == "about same"
    assert [answer.cached for answer in outcomes[2].answers] == [True, False, False]
    assert (outcomes[1].request_id, outcomes[2].request_id) == ("r1", "r2")
    assert answers(outcomes[2])["other"].question == "same"
    check_nothing_is_held(harness)


def test_equal_questions_of_one_request_are_computed_once() -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("a", text="same"), asked("b", text="same"), asked("c", "b", "x")))
    end(harness, "same", "x")
    end(harness, "c", "y")
    assert statuses(harness.outcomes()[1]) == {"a": "answered", "b": "answered", "c": "answered"}
    check_nothing_is_held(harness)


def test_a_follower_goes_along_with_its_leader_from_question_to_question_and_holds_nothing() -> None:
    harness = FlowHarness()
    chain = (asked("a"), asked("b", "a", "x"), asked("c", "b", "x"))
    for number in (1, 2, 3):
        submit(harness, about(number, *chain))
    for text in "abc":
        assert set(harness.jobs_by_question()) == {text}
        assert len(harness.decoder.out) == 1
        end(harness, text, "x")
    outcomes = harness.outcomes()
    assert set(outcomes) == {1, 2, 3}
    assert (outcomes[1].cached, outcomes[2].cached) == (False, True)
    assert (harness.decoder.decoded, harness.store.downloads) == (1, 3)
    check_nothing_is_held(harness)


def test_answers_come_from_the_cache_question_by_question() -> None:
    harness = FlowHarness(memory())
    submit(harness, about(1, asked("a"), asked("b", "a", "x")))
    end(harness, "a", "x")
    end(harness, "b", "y")
    harness.outcomes()
    submit(harness, about(2, asked("a"), asked("b", "a", "x"), asked("c", "b", "y")))
    assert set(harness.jobs_by_question()) == {"c"}
    end(harness, "c", "z")
    result = harness.outcomes()[2]
    assert [(answer.value, answer.cached) for answer in result.answers] == [("x", True), ("y", True), ("z", False)]
    assert not result.cached
    downloads = harness.store.downloads
    submit(harness, about(3, asked("a"), asked("n", "a", "no"), asked("b", "a", "x")))
    result = harness.outcomes()[3]
    assert (result.cached, statuses(result)) == (True, {"a": "answered", "n": "skipped", "b": "answered"})
    assert harness.store.downloads == downloads, "an unchanged image whose answers are all known"


def test_a_question_that_led_goes_on_at_the_next_request_when_its_own_fails_by_another() -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("a"), asked("b", "a", "x")), about(2, asked("b"), asked("c")))
    submit(harness, about(3, asked("a"), asked("d")))
    end(harness, "a", Rejected(Reason.ENGINE_CRASH, Stage.INFER, "died"))
    end(harness, "d", "x")
    outcomes = harness.outcomes()
    assert {number: outcome.reason for number, outcome in outcomes.items()} == {
        1: Reason.ENGINE_CRASH,
        3: Reason.ENGINE_CRASH,
    }
    end(harness, "b", "x")
    end(harness, "c", "x")
    assert statuses(harness.outcomes()[2]) == {"b": "answered", "c": "answered"}
    check_nothing_is_held(harness)


def test_pixels_that_are_gone_are_prepared_again_for_a_late_question() -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("a")))
    submit(harness, about(2, asked("a"), asked("late", "a", "x"), asked("own")))
    end(harness, "own", "y")
    assert len(harness.decoder.out) == 1, "the leader's alone"
    assert harness.flow.held_bytes == 300
    end(harness, "a", "x")
    assert set(harness.jobs_by_question()) == {"late"}
    assert harness.store.downloads == 3
    end(harness, "late", "z")
    result = harness.outcomes()[2]
    assert [answer.value for answer in result.answers] == ["x", "z", "y"]
    check_nothing_is_held(harness)


def test_a_request_whose_image_has_changed_meanwhile_starts_anew() -> None:
    harness = FlowHarness()
    submit(harness, about(1, asked("a")))
    submit(harness, about(2, asked("a"), asked("late", "a", "x"), asked("own")))
    end(harness, "own", "old")
    harness.store.contents[URI] = b"new"
    end(harness, "a", "x")
    assert set(harness.jobs_by_question()) == {"a", "own"}, "of the new image"
    end(harness, "own", "new")
    end(harness, "a", "no")
    result = harness.outcomes()[2]
    assert [(answer.value, answer.status) for answer in result.answers] == [
        ("no", "answered"),
        (None, "skipped"),
        ("new", "answered"),
    ]
    assert result.images[0].bytes == 3
    check_nothing_is_held(harness)


# --- what survives a retry --------------------------------------------------------------------------------


def retried(harness: FlowHarness, one: ImageRequest, ended: dict[str, PipelineError | str]) -> Outcome:
    """Submit a request, end its jobs, and return its outcome with the answers for the next attempt."""
    harness.flow.submit("first", one)
    harness.run()
    for text, outcome in ended.items():
        end(harness, text, outcome)
    (outcome_,) = harness.flow.collect(0)
    assert isinstance(outcome_.result, Retryable)
    return outcome_


def test_finished_answers_survive_a_retry() -> None:
    harness = FlowHarness()
    one = about(1, asked("a"), asked("b"), asked("c"), asked("d", "a", "x"))
    outcome = retried(harness, one, {"a": "x", "b": DOWN, "c": "y", "d": "z"})
    assert set(outcome.finished.answers) == {"a", "c", "d"}, "what ran is not given up"
    submit(harness, one, finished=outcome.finished)
    assert set(harness.jobs_by_question()) == {"b"}
    end(harness, "b", "w")
    result = harness.outcomes()[1]
    assert [answer.value for answer in result.answers] == ["x", "w", "y", "z"]
    assert not any(answer.cached for answer in result.answers)
    check_nothing_is_held(harness)


def test_finished_answers_survive_an_attempt_that_does_not_come_so_far() -> None:
    harness = FlowHarness()
    one = about(1, asked("a"), asked("b"))
    first = retried(harness, one, {"a": "x", "b": DOWN})
    harness.store.errors[URI] = Retryable(Stage.FETCH, "503", "store")
    harness.flow.submit("second", one, first.finished)
    harness.run()
    (second,) = harness.flow.collect(0)
    assert second.finished == first.finished


def test_finished_answers_do_not_hold_for_another_image() -> None:
    harness = FlowHarness()
    one = about(1, asked("a"), asked("b"))
    outcome = retried(harness, one, {"a": "x", "b": DOWN})
    harness.store.contents[URI] = b"new"
    submit(harness, one, finished=outcome.finished)
    assert set(harness.jobs_by_question()) == {"a", "b"}


def test_a_retry_of_version_1_carries_nothing() -> None:
    harness = FlowHarness()
    harness.flow.submit("one", request())
    harness.run()
    harness.end(harness.job, DOWN)
    (outcome,) = harness.flow.collect(0)
    assert (outcome.result, outcome.finished) == (DOWN, NO_ANSWERS)


# --- capacity ---------------------------------------------------------------------------------------------


def test_capacity_counts_questions_and_not_those_that_may_be_skipped() -> None:
    harness = FlowHarness(limit=10)
    harness.flow.submit(1, about(1, asked("a"), asked("b"), asked("c", "a", "x"), asked("d", "c", "x")))
    assert harness.flow.free_capacity == 8
    harness.run()
    end(harness, "b", "y")
    assert harness.flow.free_capacity == 9
    end(harness, "a", "x")
    assert (harness.flow.free_capacity, set(harness.jobs_by_question())) == (9, {"c"})
    end(harness, "c", "y")
    assert harness.flow.free_capacity == 10
