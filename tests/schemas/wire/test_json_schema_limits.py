"""Which JSON Schemas an answer may be asked in, how the others are refused, and that the sizes are true bounds."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.json_schema_keywords import INSTEAD, KEYWORDS
from sightstream.schemas.wire.json_schema_limits import check_json_schema
from sightstream.schemas.wire.json_schema_size import MANY
from sightstream.schemas.wire.json_schema_syntax import SchemaProblem, parse_schema
from sightstream.schemas.wire.unusable_request import UnusableRequest
from tests.schemas.wire.json_schemas import STRING, UNUSABLE, Schema, chain, closed, nested, schemas, tower, valued

CANARY = "c4n4ry-secret"
MAX_SECONDS = 0.5


def refused(schema: Schema) -> str:
    with pytest.raises(UnusableRequest) as caught:
        check_json_schema(schema)
    assert caught.value.reason is Reason.SCHEMA_UNUSABLE
    assert str(caught.value) == caught.value.detail
    return caught.value.detail


@given(schemas)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_what_may_be_asked_is_accepted_and_unchanged(schema: Schema) -> None:
    before = copy.deepcopy(schema)
    check_json_schema(schema)
    assert schema == before
    Draft202012Validator.check_schema(schema)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_answer_is_within_the_sizes(data: st.DataObject) -> None:
    schema = data.draw(schemas)
    value = data.draw(valued(schema, schema))
    Draft202012Validator(schema).validate(value)
    size = check_json_schema(schema)
    pointers = list(pointers_of(value))
    assert len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) >= size.shortest_bytes
    assert len(pointers) <= size.most_values
    assert max((len(json.dumps(pointer, ensure_ascii=False).encode()) - 2 for pointer in pointers), default=0) <= (
        size.pointer_bytes
    )
    assert levels_of(value) <= size.levels


def pointers_of(value: Any) -> Iterator[str]:
    """The JSON Pointer of each plain value."""
    if isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            name = str(step).replace("~", "~0").replace("/", "~1")
            yield from (f"/{name}{rest}" for rest in pointers_of(inner))
    else:
        yield ""


def levels_of(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(levels_of, value.values() if isinstance(value, dict) else value), default=0)


@pytest.mark.parametrize(("schema", "shortest"), [
    (closed(a=STRING), '{"a":""}'),
    ({"type": "array", "items": closed(b={"type": "integer"}), "minItems": 2}, '[{"b":0},{"b":0}]'),
    ({"type": "array", "items": STRING}, "[]"),
    ({"type": "array", "prefixItems": [STRING, {"type": "null"}], "items": False, "minItems": 2}, '["",null]'),
    ({"anyOf": [{"type": "boolean"}, {"enum": ["größer", "x"]}]}, '"x"'),
    ({"const": {"a": [1, "ü"]}}, '{"a":[1,"ü"]}'),
    ({"type": "string", "minLength": 5}, '"aaaaa"'),
    ({"type": "object", "properties": {"a": STRING}}, "{}"),
])  # fmt: skip
def test_the_shortest_answer_is_known_exactly_where_it_is_simple(schema: Schema, shortest: str) -> None:
    Draft202012Validator(schema).validate(json.loads(shortest))
    assert check_json_schema(schema).shortest_bytes == len(shortest.encode())


@pytest.mark.parametrize(("message", "schema"), UNUSABLE, ids=[message for message, _ in UNUSABLE])
def test_what_cannot_be_asked_is_refused_at_once_and_named(message: str, schema: Schema) -> None:
    start = time.process_time()
    detail = refused(schema)
    assert time.process_time() - start < MAX_SECONDS
    assert message in detail
    assert len(detail) < 600


@pytest.mark.parametrize("bomb", [tower(10, 100), tower(10, 2)], ids=["wide", "narrow"])
def test_references_that_multiply_are_measured_at_once(bomb: Schema) -> None:
    start = time.process_time()
    size = check_json_schema(bomb)
    assert time.process_time() - start < MAX_SECONDS
    assert size.levels == 10
    width = len(bomb["$defs"]["d0"]["properties"])
    assert size.most_values == min(MANY, width**10)
    assert size.shortest_bytes >= size.most_values


def test_the_caps_hold_to_the_unit() -> None:
    assert check_json_schema(nested(10)).levels == 10
    assert check_json_schema(chain(62)).levels == 0
    check_json_schema({"enum": list(range(1000))})
    text = {"enum": ["x" * (64 * 1024 - len('{"enum":[""]}'))]}
    check_json_schema(text)
    assert "over the cap of 65536" in refused({"enum": [text["enum"][0] + "x"]})


def test_the_cap_on_properties_holds_to_the_unit() -> None:
    def many(count: int) -> Schema:
        return {"type": "object", "properties": {str(index): {"const": 1} for index in range(count)}}

    assert len(parse_schema(many(5000)).locations) == 5001
    with pytest.raises(SchemaProblem, match="5001 properties are over the cap of 5000"):
        parse_schema(many(5001))


def nodes(schema: Any) -> Iterator[Schema]:
    """The schema and those inside it, found apart from the code under test."""
    yield schema
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", []), *schema.get("prefixItems", [])]
    for child in [*inner, *schema.get("$defs", {}).values()]:
        yield from nodes(child)
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"])


@given(st.data(), st.sampled_from(sorted(INSTEAD)) | st.text(min_size=1).filter(lambda name: name not in KEYWORDS))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_an_unknown_keyword_is_refused_wherever_it_stands(data: st.DataObject, keyword: str) -> None:
    schema = copy.deepcopy(data.draw(schemas))
    data.draw(st.sampled_from(list(nodes(schema))))[keyword] = True
    detail = refused(schema)
    assert "unknown keyword" in detail or "NUL" in detail or "no JSON" in detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["#/$defs/a"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(KEYWORDS)) | st.just("a"), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(sorted(KEYWORDS)), json_values))
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_is_accepted_or_refused(schema: Schema) -> None:
    with suppress(UnusableRequest):
        check_json_schema(schema)


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), float("inf"), "lone \ud800"])
def test_what_is_no_json_is_refused(value: object) -> None:
    assert "no JSON" in refused({"const": value})


def test_a_schema_that_holds_itself_in_memory_is_refused() -> None:
    schema: Schema = {"type": "object"}
    schema["properties"] = {"a": schema}
    assert "no JSON" in refused(schema)


def test_a_refusal_never_repeats_a_value_and_clips_names() -> None:
    for schema in (
        {"type": CANARY},
        {"$ref": CANARY},
        {"const": CANARY, "type": "integer"},
        STRING | {"pattern": f"(?={CANARY})"},
        STRING | {"format": CANARY},
        closed(a=STRING) | {"required": [CANARY]},
    ):
        assert CANARY not in refused(schema)
    assert len(refused(closed(**{"n" * 50_000: {}}))) < 200


def test_the_order_of_keys_is_no_matter_of_the_check() -> None:
    one, other = closed(a=STRING, b={"type": "integer"}), closed(b={"type": "integer"}, a=STRING)
    assert check_json_schema(one) == check_json_schema(other)
