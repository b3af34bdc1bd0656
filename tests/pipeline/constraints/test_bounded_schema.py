"""What is narrowed: numbers end, fit once they are floats, and references lead where they led."""

from __future__ import annotations

from typing import Any

import pytest

from sightstream.pipeline.constraints.format_check import check_format
from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.errors import Rejected
from tests.pipeline.constraints.formats import allowed, compiler, json_format, tokenizer, write

NUMBER = {"type": "number"}


def longest_beginning(schema: dict[str, Any], text: str) -> tuple[str, bool]:
    """Return how much of the text can be written, and whether the answer may end there."""
    constraint = compiler().start(json_format(schema))
    for at, letter in enumerate(text):
        (token,) = tokenizer().encode(letter, add_special_tokens=False)
        if token not in allowed(constraint):
            return text[:at], constraint.is_complete
        constraint.accept(token)
    return text, constraint.is_complete


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"minimum": 0, "exclusiveMaximum": 1}, "0.99999999999999999"),
        ({"exclusiveMinimum": 0, "maximum": 1}, "0." + "0" * 400 + "1"),
        ({"exclusiveMinimum": 0.1, "maximum": 1}, "0.10000000000000000000001"),
        ({"exclusiveMinimum": -1, "exclusiveMaximum": 1}, "-0.99999999999999999"),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 1e-7}, "0.00000009999999999999999999"),
        ({"exclusiveMaximum": 9007199254740992}, "9007199254740991.9999999"),
        ({"exclusiveMaximum": 1, "minimum": 0, "multipleOf": 1e-9}, "0.99999999999999999"),
        ({"minimum": 0, "maximum": 10}, "3." + "3" * 40),
        ({}, "3." + "3" * 40),
    ],
)  # fmt: skip
def test_a_number_ends_and_fits_once_it_is_a_float(schema: dict[str, Any], text: str) -> None:
    written, is_complete = longest_beginning(NUMBER | schema, text)
    assert len(written) < len(text)
    assert not is_complete or parse_value(json_format(NUMBER | schema), written).valid


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"minimum": 0, "exclusiveMaximum": 1}, "0.999999"),
        ({"exclusiveMinimum": 0, "maximum": 1}, "0.000001"),
        ({"minimum": 0, "maximum": 1}, "1.0"),
        ({"minimum": 0, "maximum": 1e-7}, "0.0000000123456"),
        ({"exclusiveMinimum": 2, "maximum": 3, "multipleOf": 0.25}, "2.25"),
        ({"minimum": 5, "maximum": 5}, "5"),
        ({"minimum": 1e-300, "maximum": 2e-300}, "0." + "0" * 299 + "15"),
        ({}, "-19.99"),
    ],
)  # fmt: skip
def test_numbers_that_people_mean_can_be_written(schema: dict[str, Any], text: str) -> None:
    assert longest_beginning(NUMBER | schema, text) == (text, True)
    assert parse_value(json_format(NUMBER | schema), text).valid


def test_a_range_without_numbers_is_refused() -> None:
    with pytest.raises(Rejected, match="exclusiveMinimum"):
        check_format(json_format(NUMBER | {"exclusiveMinimum": 5, "maximum": 5}))


@pytest.mark.parametrize("step", [0.07, 1e-17, 1e-300])
def test_a_step_that_no_answer_can_be_held_to_is_refused_with_its_place(step: float) -> None:
    schema = {"type": "object", "properties": {"a": NUMBER | {"multipleOf": step}}}
    with pytest.raises(Rejected, match="#/properties/a: multipleOf"):
        check_format(json_format(schema))


TEXT_AND_COPY = {"properties": {"a": {"enum": ["q"]}, "b": {"$ref": "#/properties/a"}}, "required": ["a", "b"]}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": ["object", "number"], **TEXT_AND_COPY}, '{"a":"q","b":"q"}'),
        ({"type": ["object", "integer"], "maximum": 7, **TEXT_AND_COPY}, "7"),
        ({"type": ["object", "number", "null"], "exclusiveMaximum": 7, **TEXT_AND_COPY}, "6.5"),
        (
            {"type": ["array", "number"], "items": {"type": "object", "properties": {
                "a": {"type": "number"}, "b": {"$ref": "#/items/properties/a"}}, "required": ["a", "b"]}},
            '[{"a":1.5,"b":2}]',
        ),
        (
            {"$ref": "#/$defs/x", "$defs": {"x": {"type": ["object", "integer"], "properties": {
                "a": {"type": "integer"}, "b": {"$ref": "#/$defs/x/properties/a"}}, "required": ["b"]}}},
            '{"b":3}',
        ),
    ],
)  # fmt: skip
def test_references_lead_into_what_may_be_a_number_instead(schema: dict[str, Any], text: str) -> None:
    check_format(json_format(schema))
    write(constraint := compiler().start(json_format(schema)), text)
    assert constraint.is_complete
    assert parse_value(json_format(schema), text).valid


def test_what_may_be_a_number_instead_has_bounds_as_well() -> None:
    schema = {"type": ["object", "number"], **TEXT_AND_COPY}
    assert longest_beginning(schema, "9" * 20)[0] == "9" * 15
