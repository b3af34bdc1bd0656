"""A condition that can never hold is refused when the file is read."""

from __future__ import annotations

from typing import Any

import pytest

from sightstream.producers.tasks.possible_answers import check_conditions
from sightstream.schemas.wire.question import Condition, Question

SCHEMA = {
    "properties": {
        "size": {"enum": [1, 2.5, "1", None]},
        "sold": {"type": "boolean"},
        "kind": {"const": "mug"},
        "words": {"type": "string"},
    }
}
FORMATS: dict[str, Any] = {
    "json": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    "list": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}},
    "colour": {"type": "choice", "choices": ["red", "blue"]},
    "prose": {"type": "sections"},
}
EARLIER = [Question(id=name, text="?", response_format=chosen) for name, chosen in FORMATS.items()]


def check(question: str, values: list[Any], field: str | None = None) -> None:
    when = Condition.model_validate({"question": question, "field": field, "in": values})
    check_conditions([*EARLIER, Question(id="last", text="?", when=when)])


@pytest.mark.parametrize(
    ("question", "field", "values"),
    [
        ("colour", None, ["red"]),
        ("json", "size", [1, 2.5, 1.0, "1", None]),
        ("json", "sold", [True, False]),
        ("json", "kind", ["mug"]),
        ("json", "words", ["anything", 3]),
        ("json", None, ["anything"]),
        ("list", "any", [1]),
        ("prose", None, ["anything"]),
        ("unknown", None, ["the request's own check names it"]),
    ],
)
def test_a_condition_that_can_hold_passes(question: str, field: str | None, values: list[Any]) -> None:
    check(question, values, field)


@pytest.mark.parametrize(
    ("question", "field", "values", "problem"),
    [
        (
            "colour",
            None,
            ["red", "green"],
            r'last: when\.in: "green" is no answer of colour; it may answer "red", "blue"',
        ),
        ("json", "size", [True], r"when\.in: true is no answer of json"),
        ("json", "size", ["2.5"], r'when\.in: "2\.5" is no answer'),
        ("json", "sold", [1], r"when\.in: 1 is no answer"),
        ("json", "kind", ["cup"], r'"cup" is no answer'),
        ("json", "colour", ["red"], r"when\.field: json has no field colour; it has size, sold, kind, words"),
        ("colour", "name", ["red"], r"when\.field: the answer of colour is no JSON; leave field out"),
        ("prose", "name", ["red"], r"when\.field: the answer of prose is no JSON"),
    ],
)
def test_one_that_never_can_is_named(question: str, field: str | None, values: list[Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check(question, values, field)
