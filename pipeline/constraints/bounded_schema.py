"""Narrows a JSON Schema to the answers that are worth writing: nothing unnamed, and no number without bounds.

Whatever fits the narrowed schema fits the original as well, so that the check after generation can use the original.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from sightstream.pipeline.constraints.bounded_number import LIMITS, bounded_integer, bounded_number
from sightstream.pipeline.constraints.pattern import translate_pattern
from sightstream.pipeline.constraints.text_formats import pattern_of

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly", "$schema"}
)
_LISTS = ("anyOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions")
_NUMBERS = frozenset({"number", "integer"})
_CONTAINERS = frozenset({"object", "array"})

Schema = dict[str, Any]


def bounded(schema: Schema) -> Schema:
    """Return the narrowed schema. The schema must have passed check_json_schema, which bounds its depth.

    Raises ValueError for a pattern that is not supported.
    """
    numbers = _Numbers({name for key in ("$defs", "definitions") for name in schema.get(key, ())})
    narrowed = _bounded(schema, numbers)
    if numbers.definitions:
        narrowed["$defs"] = narrowed.get("$defs", {}) | numbers.definitions
    return narrowed


class _Numbers:
    """The kinds of numbers in a schema, each defined once: their automata are what compiling spends its time on."""

    def __init__(self, names: set[str]) -> None:
        self.definitions: dict[str, Schema] = {}
        self._references: dict[str, str] = {}
        self._names = (name for number in count(1) if (name := f"number{number}") not in names)

    def refer_to(self, schema: Schema) -> Schema:
        """Return a reference to the schema of a number."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._references:
            name = next(self._names)
            self.definitions[name] = schema
            self._references[key] = f"#/$defs/{name}"
        return {"$ref": self._references[key]}


def _bounded(schema: Schema, numbers: _Numbers) -> Schema:
    narrowed = {key: _narrowed(key, value, numbers) for key, value in schema.items() if key not in _ANNOTATIONS}
    if "enum" in schema or "const" in schema:
        narrowed.pop("type", None)  # each value fits it, or the schema was refused
        return narrowed
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else list(schema.get("type", ()))
    if "object" in kinds:
        narrowed["additionalProperties"] = False
    if "pattern" in narrowed:
        narrowed["pattern"] = translate_pattern(narrowed["pattern"])
    if "format" in narrowed:
        narrowed["pattern"] = pattern_of(narrowed.pop("format"))
    return _with_bounded_numbers(narrowed, kinds, numbers) if _NUMBERS & set(kinds) else narrowed


def _narrowed(key: str, value: Any, numbers: _Numbers) -> Any:
    if key in _LISTS:
        return [_bounded(inner, numbers) for inner in value]
    if key in _MAPS:
        return {name: _bounded(inner, numbers) for name, inner in value.items()}
    return _bounded(value, numbers) if key == "items" and isinstance(value, dict) else value


def _with_bounded_numbers(schema: Schema, kinds: list[str], numbers: _Numbers) -> Schema:
    limits = bounded_number(schema) if "number" in kinds else bounded_integer(schema)
    others = [kind for kind in kinds if kind not in _NUMBERS]
    rest = {key: value for key, value in schema.items() if key not in LIMITS}
    if _CONTAINERS & set(others):  # references may lead to what is inside, so that stays where it is
        return rest | limits
    number = numbers.refer_to({"type": "number" if "number" in kinds else "integer", **limits})
    definitions: Schema = {key: rest.pop(key) for key in ("$defs", "definitions") if key in rest}
    return ({"anyOf": [{**rest, "type": others}, number]} if others else number) | definitions
