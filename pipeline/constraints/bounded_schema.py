"""Narrows a JSON Schema to the answers that are worth writing: nothing unnamed, and no number without bounds.

Whatever fits the narrowed schema fits the original as well, so that the check after generation can use the original.
"""

from __future__ import annotations

from typing import Any

# Integers beyond it are not exact for most readers of JSON (RFC 8259, section 6), and no database column holds them.
LARGEST_NUMBER = 2**53

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly", "$schema"}
)
_LISTS = ("anyOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions")
_NUMBERS = frozenset({"number", "integer"})

Schema = dict[str, Any]


def bounded(schema: Schema) -> Schema:
    """Return the narrowed schema. The schema must have passed check_json_schema, which bounds its depth."""
    narrowed = {key: _narrowed(key, value) for key, value in schema.items() if key not in _ANNOTATIONS}
    kinds = {schema["type"]} if isinstance(schema.get("type"), str) else set(schema.get("type", ()))
    if "enum" in schema or "const" in schema:
        narrowed.pop("type", None)  # each value fits it, or the schema was refused
        return narrowed
    if "object" in kinds:
        narrowed["additionalProperties"] = False
    if kinds & _NUMBERS:
        narrowed.update(_number_bounds(schema))
    return narrowed


def _narrowed(key: str, value: Any) -> Any:
    if key in _LISTS:
        return [bounded(inner) for inner in value]
    if key in _MAPS:
        return {name: bounded(inner) for name, inner in value.items()}
    return bounded(value) if key == "items" and isinstance(value, dict) else value


def _number_bounds(schema: Schema) -> Schema:
    """Return bounds for the sides that have none. Without them a model may write digits up to its last token."""
    bounds: Schema = {}
    if "minimum" not in schema and "exclusiveMinimum" not in schema:
        bounds["minimum"] = -LARGEST_NUMBER
    if "maximum" not in schema and "exclusiveMaximum" not in schema:
        bounds["maximum"] = LARGEST_NUMBER
    return bounds
