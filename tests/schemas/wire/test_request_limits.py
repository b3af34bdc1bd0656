"""Which requests ask for too much, and that the largest possible result is not larger than was said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from sightstream.schemas.wire.codec import MAX_RESULT_BYTES, encode
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.json_schema_limits import check_json_schema
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.question_answer import QuestionAnswer
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.request_limits import (
    WIRE_BYTES_PER_TOKEN,
    check_limits,
    check_publishable,
    largest_result_bytes,
)
from sightstream.schemas.wire.response_format import ChoiceFormat, SectionsFormat
from sightstream.schemas.wire.result import ModelIdentity, StageSeconds, TokenCounts
from sightstream.schemas.wire.result_v2 import ImageResultV2, SeenImageV2
from sightstream.schemas.wire.unusable_request import UnusableRequest
from tests.schemas.wire import strategies as wire
from tests.schemas.wire.json_schemas import STRING, UNUSABLE, Schema, closed, tower

NUMBERS: Schema = {"type": "array", "items": {"type": "integer"}}


def request(**fields: Any) -> ImageRequest:
    image = {} if "images" in fields else {"image": {"uri": "s3://shop/a.jpg"}}
    base = {"request_id": "r", "product_id": "p", "submitted_at": datetime(2026, 1, 2, tzinfo=UTC)}
    return ImageRequest.model_validate(base | image | fields)


def in_json(schema: Schema) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def asked(schema: Schema, name: str = "shape", **options: Any) -> dict[str, Any]:
    return {"id": name, "text": "?", "response_format": in_json(schema), **options}


def refused(given: ImageRequest) -> UnusableRequest:
    with pytest.raises(UnusableRequest) as caught:
        check_limits(given)
    with pytest.raises(UnusableRequest, match=r".") as published:
        check_publishable(given)
    assert (published.value.reason, published.value.detail) == (caught.value.reason, caught.value.detail)
    return caught.value


@given(wire.requests)
def test_a_request_of_version_1_is_never_refused(given: ImageRequest) -> None:
    check_publishable(given)
    assert largest_result_bytes(given) < MAX_RESULT_BYTES


@pytest.mark.parametrize("fields", [
    {"question": "x" * 8192},
    {"question": "x" * 8192, "options": {"max_tokens": 4096}, "attributes": {f"{i}": "\x01" * 1024 for i in range(32)}},
])  # fmt: skip
def test_the_largest_request_of_version_1_is_within_the_limits(fields: dict[str, Any]) -> None:
    largest = request(**fields)
    assert largest.schema_version == 1
    assert largest_result_bytes(largest) < MAX_RESULT_BYTES


@pytest.mark.parametrize("name", ["job_id", "model", "lane"])
def test_a_reserved_field_is_read_and_not_published(name: str) -> None:
    reserved = request(question="?", **{name: "x"})
    check_limits(reserved)
    with pytest.raises(UnusableRequest, match=f"^{name}: reserved") as caught:
        check_publishable(reserved)
    assert caught.value.reason is Reason.MALFORMED


def test_the_tokens_of_all_questions_are_bounded_together() -> None:
    questions = [{"id": f"q{index}", "text": "?"} for index in range(16)]
    check_publishable(request(questions=questions))  # 16 times the default of 512
    assert refused(request(questions=[*questions[:15], {"id": "q", "text": "?", "max_tokens": 513}])).reason is (
        Reason.MALFORMED
    )
    error = refused(request(questions=questions, options={"max_tokens": 513}))
    assert "8208, over 8192" in error.detail


def test_the_texts_of_all_questions_are_bounded_together() -> None:
    questions = [{"id": f"q{index}", "text": "x" * 8192} for index in range(8)]
    check_publishable(request(questions=questions))
    error = refused(request(questions=[*questions, {"id": "more", "text": "x"}]))
    assert error.reason is Reason.MALFORMED
    assert "question texts together have 65537 bytes, over 65536" in error.detail
    assert refused(request(questions=[{"id": f"q{index}", "text": "é" * 8192} for index in range(5)]))


def test_the_schemas_of_all_questions_are_bounded_together() -> None:
    schema = {"enum": ["x" * 30_000]}
    check_publishable(request(questions=[asked(schema, "a"), asked(schema, "b")]))
    error = refused(request(questions=[asked(schema, name) for name in "abc"]))
    assert error.reason is Reason.SCHEMA_UNUSABLE
    assert "schemas together" in error.detail


@pytest.mark.parametrize(("message", "schema"), UNUSABLE, ids=[message for message, _ in UNUSABLE])
def test_a_schema_that_cannot_be_used_names_its_question(message: str, schema: Schema) -> None:
    error = refused(request(questions=[{"id": "first", "text": "?"}, asked(schema, "second")]))
    assert error.reason is Reason.SCHEMA_UNUSABLE
    assert error.detail.startswith("the schema of the question second: ")
    assert message in error.detail


def test_the_only_question_is_checked_as_well() -> None:
    error = refused(request(question="?", response_format=in_json({})))
    assert error.detail.startswith("the schema of the question answer: #: fits every value")


@pytest.mark.parametrize(("schema", "tokens"), [
    (STRING | {"minLength": 1025}, 9),
    (closed(a={"enum": ["x" * 2000]}), 16),
    (NUMBERS | {"minItems": 1000}, 16),
    (tower(10, 2), 112),
    (tower(10, 100), 1_000_000),
])  # fmt: skip
def test_a_schema_whose_shortest_answer_is_too_long_is_refused(schema: Schema, tokens: int) -> None:
    if tokens <= 4096:
        check_publishable(request(questions=[asked(schema, max_tokens=tokens)]))
        error = refused(request(questions=[asked(schema, max_tokens=tokens - 1)]))
        assert f"#: the shortest answer needs {tokens} tokens or more; raise max_tokens" in error.detail
    else:
        error = refused(request(questions=[asked(schema, max_tokens=4096)]))
    assert error.reason is Reason.SCHEMA_UNUSABLE


def test_a_result_that_could_be_too_large_is_refused() -> None:
    """Each number in the list has its probability under a pointer that repeats the long name."""
    check_publishable(request(questions=[asked(closed(a=NUMBERS), max_tokens=4096)]))
    error = refused(request(questions=[asked(closed(**{"n" * 500: NUMBERS}), max_tokens=4096)]))
    assert error.reason is Reason.MALFORMED
    assert "the largest possible result" in error.detail
    check_publishable(request(questions=[asked(closed(**{"n" * 500: NUMBERS | {"maxItems": 9}}), max_tokens=4096)]))


def full_answer(question: Question, max_tokens: int) -> QuestionAnswer:
    """As much as an answer can hold: each token has the most bytes, and each value a probability."""
    text = "x" * (WIRE_BYTES_PER_TOKEN * max_tokens)
    base: dict[str, Any] = {"id": question.id, "question": question.text, "status": "answered", "raw_text": text}
    chosen = question.response_format
    if isinstance(chosen, SectionsFormat):
        more: dict[str, Any] = {"value": text, "sections": {"reasoning": text}}
    elif isinstance(chosen, ChoiceFormat):
        listed = [{"value": choice, "probability": 0.1234567890123456} for choice in chosen.choices[:20]]
        longest = max(chosen.choices, key=len)
        more = {"value": longest, "reasoning": text, "confidence": {"kind": "exact", "choices": listed}}
    else:
        size = check_json_schema(chosen.json_schema.schema_)
        pointers = [f"{index:06}".ljust(size.pointer_bytes, "~")[: size.pointer_bytes] for index in range(max_tokens)]
        fields = dict.fromkeys(pointers[: size.most_values], 0.1234567890123456)
        more = {"value": text, "confidence": {"kind": "path", "fields": fields}}
    answer = {"detail": "d" * 1000, "tokens": {"prompt": 9999, "completion": max_tokens}}
    return QuestionAnswer.model_validate(base | answer | more)


@given(wire.requests_v2)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_result_is_larger_than_was_said(given: ImageRequest) -> None:
    seen = {"bytes": 10**9, "format": "JPEG", "width": 10**5, "height": 10**5, "detail": "high", "pixels": (1120, 1120)}
    result = ImageResultV2(
        request_id=given.request_id,
        product_id=given.product_id,
        attributes=given.attributes,
        task=given.task,
        job_id=given.job_id,
        requested_model=given.model,
        lane=given.lane,
        answers=tuple(
            full_answer(question, question.options(given.options).max_tokens) for question in given.all_questions
        ),
        images=tuple(SeenImageV2(uri=image.uri, sha256="0" * 64, **seen) for image in given.all_images),
        model=ModelIdentity(name="m" * 256, revision="r" * 64, weights_sha256="0" * 64, quantization="q", engine="e"),
        tokens=TokenCounts(prompt=10**6, completion=10**6),
        seconds=StageSeconds(fetch=1e9, decode=1e9, infer=1e9, total=1e9),
        completed_at=given.submitted_at,
    )
    assert len(encode(result)) <= largest_result_bytes(given)


def test_more_images_than_an_engine_may_see_are_no_matter_of_the_publisher() -> None:
    check_publishable(request(images=[{"uri": f"s3://shop/{index}.jpg"} for index in range(16)], question="?"))
