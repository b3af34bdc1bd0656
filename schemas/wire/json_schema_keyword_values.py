"""Checks the values of a JSON Schema's keywords: their types and bounds, and that they do not contradict each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sightstream.schemas.wire.json_schema_keywords import DIALECT, FORMATS, OF_TYPE

MAX_LENGTH = 65_536
MAX_ITEMS = 4096
MAX_PATTERN_CHARS = 1000
# Integers beyond it are not exact for most readers of JSON.
MAX_NUMBER = 2**53

_REFERENCE = re.compile(r"#(?:/[A-Za-z0-9._$-]+)+")
_NON_LINEAR = re.compile(r"\(\?(?:<?[=!]|>|\()|\\(?:[1-9]|[kg][<{'])")


def value_problem(keyword: str, value: Any) -> str | None:
    """Return what is wrong with the keyword's value by itself, None when nothing is. Subschemas are not looked at."""
    check = _CHECKS.get(keyword)
    return None if check is None else check(value)


def pair_problem(schema: dict[str, Any]) -> str | None:
    """Return what contradicts itself in a schema whose keywords are fine one by one."""
    for low, high in _PAIRS:
        if low in schema and high in schema and schema[low] > schema[high]:
            return f"{low} is over {high}, so no value fits"
    return _object_problem(schema) or _array_problem(schema) or _values_problem(schema)


def _object_problem(schema: dict[str, Any]) -> str | None:
    if "object" not in types_of(schema) or "enum" in schema or "const" in schema:
        return None
    if not schema.get("properties"):
        return "an object needs properties; name each that the answer may have"
    if not set(schema.get("required", ())) <= schema["properties"].keys():
        return "required names what properties lacks; add it there"
    return None


def _array_problem(schema: dict[str, Any]) -> str | None:
    if "array" not in types_of(schema) or "enum" in schema or "const" in schema:
        return None
    if "items" not in schema:
        if "prefixItems" in schema:
            return 'write "items": false beside prefixItems'
        return "an array needs items; give their schema"
    if schema["items"] is False and schema.get("minItems", 0) > len(schema.get("prefixItems", ())):
        return "minItems is over the number of prefixItems, and items is false; so no value fits"
    return None


def _values_problem(schema: dict[str, Any]) -> str | None:
    values = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else []
    if not all(map(_has_sane_numbers, values)):
        return f"a number among the values is over {MAX_NUMBER}; write it as a string"
    types = types_of(schema)
    if types and not all(any(_is_of(value, name) for name in types) for value in values):
        return "a value is not of the type; correct one of the two"
    return None


def types_of(schema: dict[str, Any]) -> list[str]:
    """Return the types that the schema names, none when it names none."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _is_of(value: Any, name: str) -> bool:
    if name in ("number", "integer"):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (name == "number" or value == int(value))
    kinds = {"string": str, "boolean": bool, "null": type(None), "array": list, "object": dict}
    return isinstance(value, kinds[name])


def _has_sane_numbers(value: Any) -> bool:
    """Return whether no number is too large. The value is at most as deep as its schema may be."""
    if isinstance(value, dict):
        return all(map(_has_sane_numbers, value.values()))
    if isinstance(value, list):
        return all(map(_has_sane_numbers, value))
    return not isinstance(value, int | float) or abs(value) <= MAX_NUMBER


def _type_problem(value: Any) -> str | None:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return "write a type, or a list of types"
    if len(set(names)) < len(names) or not set(names) <= OF_TYPE.keys():
        return f"known types: {', '.join(OF_TYPE)}, each at most once"
    return None


def _names_problem(value: Any) -> str | None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value) or len(set(value)) < len(value):
        return "write a list of names, each once"
    return None


def _map_problem(value: Any) -> str | None:
    return None if isinstance(value, dict) else "write an object of schemas by name"


def _list_problem(value: Any) -> str | None:
    return None if isinstance(value, list) and value else "write a list of at least one"


def _closed_problem(value: Any) -> str | None:
    return None if value is False else "only false is possible: name each property in properties"


def _number_problem(value: Any) -> str | None:
    if type(value) not in (int, float) or abs(value) > MAX_NUMBER:
        return f"write a number up to {MAX_NUMBER}, or leave it out"
    return None


def _reference_problem(value: Any) -> str | None:
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        return 'only "#/..." is followed, with letters, digits, ".", "_" and "-" in names; put the schema into $defs'
    return None


def _step_problem(value: Any) -> str | None:
    return _number_problem(value) or (None if value > 0 else "write a number over 0")


def _count_problem(most: int) -> Callable[[Any], str | None]:
    def problem(value: Any) -> str | None:
        return None if type(value) is int and 0 <= value <= most else f"write an integer from 0 to {most}"

    return problem


def _pattern_problem(value: Any) -> str | None:
    if not isinstance(value, str) or len(value) > MAX_PATTERN_CHARS:
        return f"write a regular expression of at most {MAX_PATTERN_CHARS} characters"
    if _NON_LINEAR.search(value.replace(r"\\", "")):
        return "look-around and back references are not supported; write it without them"
    return None


def _format_problem(value: Any) -> str | None:
    is_known = isinstance(value, str) and value in FORMATS
    return None if is_known else f"known formats: {', '.join(sorted(FORMATS))}; write a pattern instead"


def _dialect_problem(value: Any) -> str | None:
    return None if value in (DIALECT, DIALECT + "#") else f"leave it out, or write {DIALECT}"


_PAIRS = (
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minimum", "maximum"),
    ("minimum", "exclusiveMaximum"),
    ("exclusiveMinimum", "maximum"),
    ("exclusiveMinimum", "exclusiveMaximum"),
)
_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "$schema": _dialect_problem,
    "$defs": _map_problem,
    "definitions": _map_problem,
    "$ref": _reference_problem,
    "anyOf": _list_problem,
    "enum": _list_problem,
    "type": _type_problem,
    "properties": _map_problem,
    "required": _names_problem,
    "additionalProperties": _closed_problem,
    "prefixItems": _list_problem,
    "minItems": _count_problem(MAX_ITEMS),
    "maxItems": _count_problem(MAX_ITEMS),
    "minLength": _count_problem(MAX_LENGTH),
    "maxLength": _count_problem(MAX_LENGTH),
    "pattern": _pattern_problem,
    "format": _format_problem,
    "minimum": _number_problem,
    "maximum": _number_problem,
    "exclusiveMinimum": _number_problem,
    "exclusiveMaximum": _number_problem,
    "multipleOf": _step_problem,
}
