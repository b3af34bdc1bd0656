"""Answers become plain values, each with a path of its own and its probability."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from sightstream.infra.answers.values import AnswerParts, as_text, plain_values

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
names = st.text(max_size=5) | st.sampled_from(["a.b", "a", "b", "\\", ".", "~1", "/"])
values: st.SearchStrategy[JsonValue] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)


def rebuilt(values: list[tuple[tuple[str, ...], JsonValue]]) -> JsonValue:
    """The object that has these values at these paths."""
    root: dict[str, JsonValue] = {}
    for path, value in values:
        at = root
        for name in path[:-1]:
            inner = at.setdefault(name, {})
            assert isinstance(inner, dict)
            at = inner
        at[path[-1]] = value
    return root


@given(values)
def test_nothing_of_an_answer_is_lost(value: JsonValue) -> None:
    found = [(plain.path, plain.value) for plain in plain_values(AnswerParts("q", "answered", value))]
    assert rebuilt(found) == {"q": value}


@given(values)
def test_names_of_different_values_differ(value: JsonValue) -> None:
    plain = list(plain_values(AnswerParts("q", "answered", value)))
    assert len({each.name for each in plain}) == len(plain)


def test_each_field_has_its_own_probability() -> None:
    value: JsonValue = {"colour": "red", "size/cm": {"w~h": 3}, "tags": ["a", "b"], "free": {}}
    fields = {"/colour": 0.9, "/size~1cm/w~0h": 0.8, "/tags/0": 0.7}
    found = {
        plain.name: (plain.value, plain.probability)
        for plain in plain_values(AnswerParts("look", "answered", value, 0.5, fields))
    }
    assert found == {
        "look.colour": ("red", 0.9),
        "look.size/cm.w~h": (3, 0.8),
        "look.tags": (["a", "b"], None),
        "look.free": ({}, None),
    }


def test_an_answer_that_is_no_object_has_the_probability_of_the_whole() -> None:
    (plain,) = plain_values(AnswerParts("kind", "answered", "mug", 0.75))
    assert (plain.name, plain.value, plain.probability) == ("kind", "mug", 0.75)


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (None, ""), (True, "true"), (1.5, "1.5"), (["é"], '["é"]'), ({}, "{}")]
)
def test_as_text(value: JsonValue, text: str) -> None:
    assert as_text(value) == text
