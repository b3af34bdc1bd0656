"""Whether a question is asked: JSON values are compared as JSON means them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.conditions import is_same_json, why_skipped
from sightstream.pipeline.question_answer import CheckedAnswer
from sightstream.schemas.wire.question import Condition
from sightstream.schemas.wire.question_answer import AnswerStatus

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2)


@given(scalars, scalars)
def test_values_are_the_same_exactly_if_their_json_is(one: object, other: object) -> None:
    assert is_same_json(one, other) == (json.dumps(one) == json.dumps(other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        (None, False, False),
        (2**53 + 1, 2.0**53, False),
    ],
)
def test_numbers_are_numbers_and_nothing_else_is(one: object, other: object, same: bool) -> None:
    assert is_same_json(one, other) == is_same_json(other, one) == same


def earlier(value: Any, status: AnswerStatus = "answered") -> CheckedAnswer:
    return CheckedAnswer(status, value=value, valid=True)


def test_a_field_is_looked_up_in_an_object_alone() -> None:
    has_field = Condition.model_validate({"question": "a", "field": "b", "in": ["x"]})
    assert why_skipped(has_field, earlier({"b": "x"})) is None
    assert why_skipped(has_field, earlier({"b": "y"})) == "b of a is none of the values that the condition names"
    for value in ("x", ["x"], {"c": "x"}, {"c": {"b": "x"}}, None):
        assert why_skipped(has_field, earlier(value)) == "the answer to a has no field b"


@pytest.mark.parametrize("status", ["invalid", "skipped", "refused"])
def test_without_an_answer_no_condition_holds(status: AnswerStatus) -> None:
    without = Condition.model_validate({"question": "a", "in": [None]})
    assert why_skipped(without, earlier(None)) is None
    assert why_skipped(without, earlier(None, status=status)) == f"the question a is {status}"
