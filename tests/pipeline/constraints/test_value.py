"""The value of an answer: parsed strictly, and checked against the format."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.constraints.strict_json import parse_strictly
from sightstream.pipeline.constraints.value import ParsedValue, parse_value
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ChoiceFormat
from tests.pipeline.constraints.formats import json_format, object_format

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(-(2.0**53), 2.0**53)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_json_is_parsed_to_its_value(value: object, is_ascii: bool) -> None:
    assert parse_strictly(json.dumps(value, ensure_ascii=is_ascii)) == value


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    for response_format in (json_format({"type": "string", "pattern": "^(a+)+$"}), ChoiceFormat(choices=("a", "b"))):
        parsed = parse_value(response_format, text)
        assert parsed.valid == (parsed.problem is None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("NaN", "NaN"),
        ("[Infinity]", "Infinity"),
        ('{"a":1,"a":1}', "twice"),
        ('{"a":{"b":1,"b":2}}', "twice"),
        ("9007199254740993", "2\\^53"),
        ("-1e999", "2\\^53"),
        ("1" + "0" * 100_000, "2\\^53"),
        ("[" * 33 + "]" * 33, "deeper"),
        ("[" * 1_000_000, "deeper"),
        (r'"\u0000"', "NUL"),
        (r'{"\u0000":1}', "NUL"),
        (r'["\ud800"]', "surrogate"),
        ('"\ud800"', "surrogate"),
        ('"a" "b"', "Extra data"),
        ("{'a':1}", "character 1"),
        ("", "character 0"),
        ('"' + "a" * 1_100_000 + '"', "characters"),
    ],
)
def test_what_two_readers_may_understand_differently_is_no_json(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_strictly(text)


def test_brackets_inside_texts_are_no_depth() -> None:
    assert parse_strictly(json.dumps(["[" * 100, '\\"{{' * 50])) == ["[" * 100, '\\"{{' * 50]
    assert parse_strictly("[" * 32 + "]" * 32) is not None


def test_json_that_does_not_fit_has_a_value_and_is_not_valid() -> None:
    response_format = object_format(colour={"enum": ["red", "blue"]})
    assert parse_value(response_format, '{"colour":"red"}') == ParsedValue({"colour": "red"}, True)
    parsed = parse_value(response_format, '{"colour":"green"}')
    assert (parsed.value, parsed.valid) == ({"colour": "green"}, False)
    assert parsed.problem is not None
    assert "does not fit the schema" in parsed.problem


def test_half_an_answer_has_no_value() -> None:
    parsed = parse_value(object_format(colour={"type": "string"}), '{"colour":"re')
    assert (parsed.value, parsed.valid) == (None, False)
    assert parsed.problem is not None
    assert parsed.problem.startswith("The answer is no JSON")


def test_formats_of_texts_are_checked() -> None:
    response_format = json_format({"type": "string", "format": "date"})
    assert parse_value(response_format, '"2024-02-29"').valid
    assert not parse_value(response_format, '"2023-02-29"').valid


def test_a_choice_is_taken_literally() -> None:
    response_format = ChoiceFormat(choices=("red", "red wine"))
    assert parse_value(response_format, "red wine") == ParsedValue("red wine", True)
    assert not parse_value(response_format, "red ").valid
    assert parse_value(response_format, "Red").value is None


def test_sections_are_their_text() -> None:
    assert parse_value(SECTIONS_FORMAT, "A red mug.") == ParsedValue("A red mug.", True)
    assert not parse_value(SECTIONS_FORMAT, "").valid
