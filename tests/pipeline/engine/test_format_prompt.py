"""What a model is told of the format that its answer will be held to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.engine.format_prompt import MAX_SHAPE_CHARS, describe_shape, with_format
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ChoiceFormat, JsonSchema, JsonSchemaFormat

COLOUR = {"enum": ["red", "größer"]}


@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        (COLOUR, '"red" | "größer"'),
        ({"const": None}, "null"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "boolean"}, "true | false"),
        ({"type": "array", "items": {"type": "integer"}}, "[integer, ...]"),
        ({"anyOf": [{"type": "number"}, COLOUR]}, 'number | "red" | "größer"'),
        (
            {"properties": {"b": COLOUR, "a": {"type": "string", "description": "why"}}, "required": ["b"]},
            '{"b": "red" | "größer", "a"?: string (why)}',
        ),
        ({"$ref": "#/$defs/one", "$defs": {"one": {"$ref": "#/$defs/two"}, "two": COLOUR}}, '"red" | "größer"'),
        ({"$ref": "#/$defs/loop", "$defs": {"loop": {"$ref": "#/$defs/loop"}}}, "any"),
        ({"$ref": "#/nowhere"}, "any"),
    ],
)  # fmt: skip
def test_a_schema_is_described_by_its_shape(schema: dict[str, Any], shape: str) -> None:
    assert describe_shape(schema) == shape


def test_the_format_stands_behind_the_question() -> None:
    schema = JsonSchemaFormat(json_schema=JsonSchema(name="x", schema_=COLOUR))
    assert with_format("Why?", SECTIONS_FORMAT) == "Why?"
    assert with_format("Why?", ChoiceFormat(choices=("yes", "no"))) == "Why?\nAnswer with one of: yes, no"
    assert with_format("Why?", schema) == 'Why?\nAnswer in JSON: "red" | "größer"'


def test_a_long_list_of_values_is_cut_before_the_names_of_fields() -> None:
    fields = {f"field {number}": {"enum": [f"value {n}" for n in range(1000)]} for number in range(5)}
    shape = describe_shape({"type": "object", "properties": fields})
    assert len(shape) <= MAX_SHAPE_CHARS
    assert all(name in shape for name in fields)
    assert "..." in shape


def test_references_that_multiply_take_no_time() -> None:
    parts = {f"p{n}": {"type": "object", "properties": {f"{i}": {"$ref": f"#/$defs/p{n + 1}"} for i in range(10)}}
             for n in range(9)}  # fmt: skip
    assert len(describe_shape({"$ref": "#/$defs/p0", "$defs": {**parts, "p9": COLOUR}})) <= MAX_SHAPE_CHARS


KEYWORDS = ("type", "enum", "const", "anyOf", "properties", "required", "items", "$ref", "$defs", "description")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(KEYWORDS) | st.text(max_size=4),
        inner,
        max_size=4,
    ),
    max_leaves=30,
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(["type", "enum", "anyOf", "properties", "items", "$ref"]), json_values, max_size=4)
)
def test_any_schema_has_a_short_shape(schema: dict[str, Any]) -> None:
    assert len(describe_shape(schema)) <= MAX_SHAPE_CHARS
