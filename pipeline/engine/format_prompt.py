"""Tells the model, in its prompt, the format that its answer will be held to.

Constraints alone force a model into the format without its knowing; an answer is better when it has been asked for.
JSON is described by its shape, such as `{"colour": "red" | "blue", "count": integer}`: much shorter than its schema.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat, ResponseFormat

# A shape may have so many characters; beyond it inner objects, then long lists of values, are only named.
MAX_SHAPE_CHARS = 2000
MAX_VALUES = 64
MAX_PARTS = 2000
MAX_REFERENCES = 16  # one behind the other

# What is asked in the second turn, where the model has reasoned in the first one.
SECOND_TURN = "Now give the answer alone."


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
        text = _Describer(schema, values).shape(schema, depth)
        if len(text) <= MAX_SHAPE_CHARS:
            return text
    return "object"


@dataclass(slots=True)
class _Describer:
    """Describes the parts of one schema. Parts that refer to each other stay "any" once `parts_left` is used up."""

    root: dict[str, Any]
    max_values: int
    parts_left: int = MAX_PARTS

    def shape(self, schema: Any, depth: int) -> str:
        self.parts_left -= 1
        if self.parts_left < 0 or not isinstance(schema, dict):
            return "any"
        schema = self._resolve(schema)
        if "const" in schema:
            return self._values([schema["const"]])
        if isinstance(schema.get("enum"), list):
            return self._values(schema["enum"])
        if isinstance(options := schema.get("anyOf"), list):
            return " | ".join(self.shape(option, depth - 1) for option in options) if depth > 0 else "any"
        return self._typed(schema, schema.get("type", "object" if "properties" in schema else "any"), depth)

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follow references inside the document, one after the other."""
        for _ in range(MAX_REFERENCES):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return schema
            schema = self._find(reference)
        return {}

    def _find(self, reference: str) -> dict[str, Any]:
        found: Any = self.root
        for step in reference.removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def _values(self, values: list[Any]) -> str:
        texts = [json.dumps(value, ensure_ascii=False) for value in values[: self.max_values]]
        return " | ".join([*texts, "..."] if len(values) > self.max_values else texts)

    def _typed(self, schema: dict[str, Any], kind: Any, depth: int) -> str:
        if isinstance(kind, list):
            return " | ".join(self._typed(schema, each, depth) for each in kind)
        if kind == "array" and depth > 0:
            return f"[{self.shape(schema.get('items', {}), depth - 1)}, ...]"
        if kind == "object" and depth > 0 and isinstance(schema.get("properties"), dict):
            return self._object(schema, depth)
        return {"boolean": "true | false"}.get(str(kind), str(kind))

    def _object(self, schema: dict[str, Any], depth: int) -> str:
        required = schema.get("required")
        required = required if isinstance(required, list) else []
        fields = (
            f"{json.dumps(name, ensure_ascii=False)}{'' if name in required else '?'}: "
            f"{self.shape(inner, depth - 1)}{_comment(inner)}"
            for name, inner in schema["properties"].items()
        )
        return "{" + ", ".join(fields) + "}"


def _comment(schema: Any) -> str:
    text = schema.get("description") if isinstance(schema, dict) else None
    return f" ({text})" if isinstance(text, str) else ""
