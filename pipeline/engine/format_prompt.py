"""Tells the model, in its prompt, the format that its answer will be held to.

Constraints alone force a model into the format without its knowing; an answer is better when it has been asked for.
JSON is described by its shape, such as `{"colour": "red" | "blue", "count": integer}`: much shorter than its schema.
"""

from __future__ import annotations

import json
from typing import Any

from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat, ResponseFormat

# A shape may have so many characters; beyond it inner objects, then long lists of values, are only named.
MAX_SHAPE_CHARS = 2000
MAX_VALUES = 64

# What is asked in the second turn, where the model has reasoned in the first one.
SECOND_TURN = "Now give the answer alone."

_NAMES = {"string": "string", "integer": "integer", "number": "number", "boolean": "true | false", "null": "null"}


def with_format(question: str, response_format: ResponseFormat) -> str:
    """Return the question and, behind it, the format of its answer. Sections are asked for by training, not by text."""
    if isinstance(response_format, ChoiceFormat):
        return f"{question}\nAnswer with one of: {', '.join(response_format.choices)}"
    if isinstance(response_format, JsonSchemaFormat):
        return f"{question}\nAnswer in JSON: {describe_shape(response_format.json_schema.schema_)}"
    return question


def describe_shape(schema: dict[str, Any]) -> str:
    """Return the shape of the JSON that fits the schema, in at most MAX_SHAPE_CHARS characters. Never raises."""
    for depth, values in ((8, MAX_VALUES), (3, 16), (1, 4), (0, 0)):
        text = _shape(schema, schema, depth, values)
        if len(text) <= MAX_SHAPE_CHARS:
            return text
    return "object"


def _shape(schema: Any, root: dict[str, Any], depth: int, max_values: int) -> str:
    if not isinstance(schema, dict):
        return "any"
    schema = _resolve(schema, root)
    if "const" in schema:
        return _values([schema["const"]], max_values)
    if isinstance(schema.get("enum"), list):
        return _values(schema["enum"], max_values)
    for name in ("anyOf", "oneOf"):
        if isinstance(schema.get(name), list):
            return " | ".join(_shape(option, root, depth - 1, max_values) for option in schema[name]) if depth else name
    return _typed(schema, root, depth, max_values)


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow one reference inside the document."""
    found: Any = root
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _values(values: list[Any], max_values: int) -> str:
    texts = [json.dumps(value, ensure_ascii=False) for value in values[:max_values]]
    return " | ".join([*texts, "..."] if len(values) > max_values else texts)


def _typed(schema: dict[str, Any], root: dict[str, Any], depth: int, max_values: int) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "any")
    if isinstance(kind, list):
        return " | ".join(_typed({**schema, "type": each}, root, depth, max_values) for each in kind)
    if depth <= 0 or kind not in ("object", "array"):
        return _NAMES.get(kind, str(kind))
    if kind == "array":
        return f"[{_shape(schema.get('items', {}), root, depth - 1, max_values)}, ...]"
    return _object(schema, root, depth, max_values)


def _object(schema: dict[str, Any], root: dict[str, Any], depth: int, max_values: int) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return "object"
    required = schema.get("required", [])
    fields = (
        f"{json.dumps(name, ensure_ascii=False)}{'' if name in required else '?'}: "
        f"{_shape(inner, root, depth - 1, max_values)}{_comment(inner)}"
        for name, inner in properties.items()
    )
    return "{" + ", ".join(fields) + "}"


def _comment(schema: Any) -> str:
    text = schema.get("description") if isinstance(schema, dict) else None
    return f" ({text})" if isinstance(text, str) else ""
