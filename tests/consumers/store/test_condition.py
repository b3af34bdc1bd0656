"""Conditions on answers: what they mean, how they are written, and that no text or value breaks them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from sightstream.consumers.store.condition import parse_condition, value_holds

LOOK: JsonValue = {
    "colour": "red",
    "count": 3,
    "price": "19.99",
    "has_text": True,
    "damage": None,
    "size": {"w": 2.5},
    "tags": ["a", "b"],
    "parts": [{"name": "lid"}, {"name": "cup"}],
    "a.b=c": "odd",
    "big": 10**400,
}


@pytest.mark.parametrize(
    "text",
    [
        "look.colour=red",
        "look.colour!=blue",
        "look.colour>pink",
        "look.count=3",
        "look.count=3.0",
        "look.count<4",
        "look.count>=3",
        "look.has_text=true",
        "look.damage=null",
        "look.damage!=dent",
        "look.size.w>2",
        "look.tags=b",
        "look.tags!=c",
        "look.parts.name=cup",
        r"look.a\.b\=c=odd",
        "look.price=19.99",
        "look.big>1e300",
    ],
)
def test_holds(text: str) -> None:
    assert parse_condition(text).holds(LOOK)


@pytest.mark.parametrize(
    "text",
    [
        "look.colour=Red",
        "look.colour!=red",
        "look.count=33",
        "look.count<3",
        "look.count>two",
        "look.price<20",  # a text is no number
        "look.has_text=1",
        "look.has_text>0",
        "look.damage=",
        "look.absent=red",
        "look.absent!=red",
        "look.colour.shade!=x",
        "look.tags!=a",
        "look=red",
        "look.size=2.5",
        "look.count=NaN",
        "look.big=Infinity",
    ],
)
def test_does_not_hold(text: str) -> None:
    assert not parse_condition(text).holds(LOOK)


def test_an_answer_that_is_no_object_is_compared_itself() -> None:
    assert parse_condition("kind=mug").holds("mug")
    assert parse_condition("kind!=mug").holds("cup")
    assert not parse_condition("kind.name=mug").holds("mug")


def test_the_first_operator_counts() -> None:
    found = parse_condition("q.a<=b=c!=d")
    assert (found.question_id, found.path, found.operator, found.operand) == ("q", ("a",), "<=", "b=c!=d")
    assert parse_condition("q.is it!?=yes").path == ("is it!?",)


@pytest.mark.parametrize("text", ["", "colour", "=red", "1a=b", ".a=b", "a b=c", "a\\", "look.colour", "é=1"])
def test_what_is_no_condition_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"QUESTION\.field=value"):
        parse_condition(text)


names = st.text(min_size=1, max_size=6) | st.sampled_from(["a.b", "\\", "=", "!=", "!", ".", "<"])
scalars = st.text(max_size=6) | st.integers() | st.booleans() | st.none()


def escaped(name: str) -> str:
    return "".join(f"\\{char}" if char in "\\.=<>!" else char for char in name)


@given(st.lists(names, max_size=4), scalars)
def test_every_value_can_be_found_by_its_path(path: list[str], leaf: str | int | bool | None) -> None:
    value: JsonValue = leaf
    for name in reversed(path):
        value = {name: value}
    operand = leaf if isinstance(leaf, str) else json.dumps(leaf)
    condition = parse_condition(".".join(["q", *map(escaped, path)]) + f"={operand}")
    assert condition.path == tuple(path)
    assert condition.holds(value)


@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_is_compared_nothing_is_raised(value: str, condition: str) -> None:
    value_holds(value, condition)
    value_holds(value, f"q.a{condition}")


@pytest.mark.parametrize("value", [None, "", "{", "[" * 100_000, "9" * 5000, "NaN"])
def test_a_damaged_value_holds_nothing(value: str | None) -> None:
    assert not value_holds(value, "q.a=1")


@pytest.mark.parametrize("operand", ["9" * 5000, "[" * 100_000, "1e999", "-Infinity"])
def test_a_monstrous_operand_is_a_text(operand: str) -> None:
    assert not value_holds('{"a":1}', f"q.a={operand}")
    assert value_holds(json.dumps({"a": operand}), f"q.a={operand}")
