"""Measures a JSON Schema by the answers that fit: how deep they are, how short one can be, how many values it holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from sightstream.schemas.wire.json_schema_keyword_values import MAX_ITEMS, types_of
from sightstream.schemas.wire.json_schema_syntax import Location, ParsedSchema

MAX_LEVELS = 10
MAX_STEPS = 64
MANY = 10**9  # sizes saturate here: references repeat each other, and so sizes grow like powers

_LIST_STEP_BYTES = len(f"/{MAX_ITEMS}")


@dataclass(frozen=True, slots=True)
class SchemaSize:
    """Bounds on the compact JSON of an answer. `pointer_bytes` is the longest JSON Pointer to a plain value in it."""

    levels: int
    shortest_bytes: int
    most_values: int
    pointer_bytes: int


@dataclass(frozen=True, slots=True)
class _Measured:
    size: SchemaSize
    steps: int


def measure(schema: ParsedSchema) -> SchemaSize:
    """Return the sizes. Raises SchemaProblem for a schema that recurses, is nested too deep, or refers to nothing."""
    measuring = _Measuring(schema)
    for location in (schema.root, *schema.locations.values()):
        measuring.measure(location)
    return measuring.measure(schema.root).size


class _Measuring:
    """Measures each schema once, however many references lead to it."""

    def __init__(self, schema: ParsedSchema) -> None:
        self._schema = schema
        self._done: dict[int, _Measured] = {}
        self._open: set[int] = set()

    def measure(self, location: Location) -> _Measured:
        key = id(location.schema)
        if key in self._open:
            raise location.problem("the schema contains itself; write out as many levels as you need")
        if key not in self._done:
            self._open.add(key)
            self._done[key] = self._measure(location)
            self._open.remove(key)
        return self._done[key]

    def _measure(self, location: Location) -> _Measured:
        if len(self._open) > MAX_STEPS:
            raise location.problem(f"over {MAX_STEPS} schemas stand within each other; use fewer references")
        inner = [self.measure(child) for child in self._followed(location)]
        steps = 1 + max((child.steps for child in inner), default=0)
        size = _size(location.schema, [child.size for child in inner])
        if steps > MAX_STEPS:
            raise location.problem(f"over {MAX_STEPS} schemas stand within each other; use fewer references")
        if size.levels > MAX_LEVELS:
            raise location.problem(f"objects and arrays are nested deeper than {MAX_LEVELS} levels; flatten them")
        return _Measured(size, steps)

    def _followed(self, location: Location) -> list[Location]:
        if "$ref" in location.schema:
            return [self._schema.target(location)]
        return self._schema.children(location)


def _size(schema: dict[str, Any], inner: list[SchemaSize]) -> SchemaSize:
    """Return the size of a schema from those of its inner ones, which come in the order of its keywords."""
    if "enum" in schema:
        return _either([_size_of_value(value) for value in schema["enum"]])
    if "const" in schema:
        return _size_of_value(schema["const"])
    if "type" not in schema:  # a reference or alternatives
        return _either(inner)
    return _either([_size_of_type(name, schema, inner) for name in types_of(schema)])


def _size_of_type(name: str, schema: dict[str, Any], inner: list[SchemaSize]) -> SchemaSize:
    properties = schema.get("properties", {})
    if name == "object":
        sizes = dict(zip(properties, inner, strict=False))
        return _object(sizes, frozenset(schema.get("required", ())))
    if name == "array":
        return _array(schema, inner[len(properties) :])
    shortest = {"string": 2 + schema.get("minLength", 0), "boolean": 4, "null": 4}
    return SchemaSize(0, shortest.get(name, 1), 1, 0)


def _either(options: list[SchemaSize]) -> SchemaSize:
    return SchemaSize(
        levels=max(option.levels for option in options),
        shortest_bytes=min(option.shortest_bytes for option in options),
        most_values=max(option.most_values for option in options),
        pointer_bytes=max(option.pointer_bytes for option in options),
    )


def _object(properties: dict[str, SchemaSize], required: frozenset[str]) -> SchemaSize:
    shortest = (_text_bytes(name) + 2 + properties[name].shortest_bytes for name in required)  # a colon and a comma
    pointers = (_step_bytes(name) + size.pointer_bytes for name, size in properties.items())
    return SchemaSize(
        levels=1 + max((size.levels for size in properties.values()), default=0),
        shortest_bytes=min(MANY, max(2, 1 + sum(shortest))),
        most_values=min(MANY, sum(size.most_values for size in properties.values())),
        pointer_bytes=max(pointers, default=0),
    )


def _array(schema: dict[str, Any], inner: list[SchemaSize]) -> SchemaSize:
    """`inner` are the sizes of prefixItems, and of items unless that is false."""
    first = inner[: len(schema.get("prefixItems", ()))]
    rest = inner[len(first) :]
    most = min(schema.get("maxItems", MAX_ITEMS), MAX_ITEMS if rest else len(first))
    least = min(schema.get("minItems", 0), most)
    repeated = rest[0] if rest else None
    shortest = [size.shortest_bytes + 1 for size in first[:least]]
    values = [size.most_values for size in first[:most]]
    if repeated is not None:
        shortest.append((repeated.shortest_bytes + 1) * max(0, least - len(first)))
        values.append(repeated.most_values * max(0, most - len(first)))
    return SchemaSize(
        levels=1 + max((size.levels for size in inner), default=0),
        shortest_bytes=min(MANY, max(2, 1 + sum(shortest))),
        most_values=min(MANY, sum(values)),
        pointer_bytes=_LIST_STEP_BYTES + max((size.pointer_bytes for size in inner), default=0),
    )


def _size_of_value(value: Any) -> SchemaSize:
    if isinstance(value, dict):
        size = _object({name: _size_of_value(inner) for name, inner in value.items()}, frozenset(value))
    elif isinstance(value, list):
        size = _array({"prefixItems": value, "items": False}, [_size_of_value(inner) for inner in value])
    else:
        size = SchemaSize(0, 1, 1, 0)
    return replace(size, shortest_bytes=_text_bytes(value))


def _text_bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _step_bytes(name: str) -> int:
    """Return the bytes of "/name" inside a JSON string; ~ and / are written as two characters."""
    return _text_bytes(name) - 1 + name.count("~") + name.count("/")
