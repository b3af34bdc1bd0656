"""Finds what cannot be used in a JSON Schema beyond the limits of the wire: these need no compiling to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sightstream.pipeline.constraints.alternatives import count_alternatives
from sightstream.pipeline.constraints.bounded_number import is_known_step
from sightstream.pipeline.constraints.pattern import has_control_characters, translate_pattern
from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.schemas.wire.json_schema_limits import check_json_schema
from sightstream.schemas.wire.unusable_request import UnusableRequest

# Compiling costs time by the square of those in one object.
MAX_OPTIONAL = 1000
# The check tries all of them where none fits.
MAX_ALTERNATIVES = 1000

Schema = dict[str, Any]


def check_schema(schema: Schema) -> None:
    """Raise Rejected (schema_unusable) when the schema is over a limit or cannot be used; it names the path."""
    try:
        check_json_schema(schema)
    except UnusableRequest as error:
        raise unusable(str(error)) from None
    for path, inner in _walk("#", schema):
        for problem in _problems(inner):
            raise unusable(f"{path}: {problem}")
    alternatives = count_alternatives(schema)
    if alternatives > MAX_ALTERNATIVES:
        raise unusable(f"#: {alternatives} alternatives for one value are over the cap of {MAX_ALTERNATIVES}")


def _walk(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for key in ("properties", "$defs", "definitions"):
        for name, inner in schema.get(key, {}).items():
            yield from _walk(f"{path}/{key}/{name[:64]}", inner)
    for key in ("anyOf", "prefixItems"):
        for index, inner in enumerate(schema.get(key, ())):
            yield from _walk(f"{path}/{key}/{index}", inner)
    if isinstance(schema.get("items"), dict):
        yield from _walk(f"{path}/items", schema["items"])


def _problems(schema: Schema) -> Iterator[str]:
    if "pattern" in schema:
        yield from _pattern_problems(schema)
    if "multipleOf" in schema and not is_known_step(schema["multipleOf"]):
        yield "multipleOf: no answer can be held to this step; write another one, such as 0.01 or 0.25, or a pattern"
    values = [*schema.get("enum", ()), schema.get("const"), *schema.get("properties", ())]
    if any(map(has_control_characters, _texts(values))):
        yield "a text holds a control character; only tabs and ends of lines can be written"
    optional = len(schema.get("properties", ())) - len(schema.get("required", ()))
    if optional > MAX_OPTIONAL:
        yield f"{optional} optional properties are over the cap of {MAX_OPTIONAL}; name more in required"


def _pattern_problems(schema: Schema) -> Iterator[str]:
    if "format" in schema:
        yield "pattern and format stand side by side; keep one of them"
    try:
        translate_pattern(schema["pattern"])
    except ValueError as error:
        yield f"pattern: {error}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
