"""The simulated engine's JSON fits every schema that may be sent, whatever it is built of."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.engine.pattern_instance import text_for_pattern
from sightstream.pipeline.engine.schema_instance import SchemaInstance
from tests.pipeline.constraints.formats import json_format

NAMES = st.sampled_from(["colour", "größe", "a/b", "x~y", "色", "count", "has text"])
LEAVES = st.one_of(
    st.just({"type": "string"}),
    st.just({"type": "boolean"}),
    st.just({"type": ["integer", "null"]}),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, *[st.integers(0, 9)] * 2
    ),
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-50, 50),
        st.integers(0, 99),
    ),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low, "maximum": low + 0.5}, st.integers(-50, 50)),
    st.builds(lambda step: {"type": "integer", "minimum": 1, "multipleOf": step}, st.integers(1, 7)),
    st.builds(lambda values: {"enum": values}, st.lists(NAMES | st.integers() | st.none(), min_size=1, max_size=6)),
    st.just({"const": {"fixed": [1, None]}}),
    st.just({"type": "string", "pattern": "^[A-Z]{2}-[0-9]+(kg|g)?$"}),
)


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(NAMES, inner, min_size=1, max_size=4)
    objects = st.builds(
        lambda fields, count: {
            "type": "object",
            "properties": fields,
            "required": list(fields)[:count],
            "additionalProperties": False,
        },
        properties,
        st.integers(0, 4),
    )
    arrays = st.builds(
        lambda item, least, more: {"type": "array", "items": item, "minItems": least, "maxItems": least + more},
        inner,
        *[st.integers(0, 3)] * 2,
    )
    return objects | arrays | st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3))


SCHEMAS = st.recursive(LEAVES, nested, max_leaves=8)


@given(SCHEMAS, st.text(max_size=8))
def test_the_value_fits_the_schema(schema: dict[str, Any], seed: str) -> None:
    value = SchemaInstance(schema, seed).value()
    jsonschema.validate(value, schema)
    assert SchemaInstance(schema, seed).value() == value


TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}}},
    "required": ["name", "parts"],
    "$defs": {"part": {"anyOf": [{"$ref": "#"}, {"type": "integer"}]}},
}


@pytest.mark.parametrize("seed", [str(number) for number in range(50)])
def test_a_schema_that_contains_itself_ends(seed: str) -> None:
    jsonschema.validate(SchemaInstance(TREE, seed).value(), TREE)


def test_a_schema_without_an_end_is_an_error() -> None:
    endless = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    with pytest.raises(ValueError, match="levels"):
        SchemaInstance(endless, "").value()


def test_seeds_differ_and_properties_keep_their_order() -> None:
    schema = {
        "type": "object",
        "properties": {name: {"enum": list(range(1000))} for name in ("z", "a", "m")},
        "required": ["a", "m", "z"],
    }
    values = [SchemaInstance(schema, str(seed)).value() for seed in range(20)]
    assert {tuple(value) for value in values} == {("z", "a", "m")}
    assert len({str(value) for value in values}) == 20


PATTERNS = [
    "^a{2,5}$",
    "[a-f0-9]{8}",
    "^(red|blue)( wine)?$",
    r"\d+\.\d{2}",
    "[^a-z]x",
    "a?b*c+",
    r"^\w+@\w+\.com$",
    ".",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(st.integers(0, 2**32))
def test_a_text_matches_its_pattern(pattern: str, number: int) -> None:
    assert re.search(pattern, text_for_pattern(pattern, lambda step, count: number * step % count))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "multipleOf": 0.05, "minimum": 1, "maximum": 2},
        {"type": "integer", "multipleOf": 2.5, "minimum": 1, "maximum": 9},
        {"type": "number", "exclusiveMinimum": 0.1, "maximum": 0.10000001},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e-7},
    ],
)
def test_numbers_between_close_bounds_and_on_fine_steps_fit_as_the_worker_checks_them(schema: dict[str, Any]) -> None:
    asked = json_format(schema)
    for seed in range(20):
        assert parse_value(asked, json.dumps(SchemaInstance(schema, str(seed)).value())).valid
