"""What the server is asked: every format, with reasoning, conditions, several images and little detail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sightstream.schemas.wire.request import ImageRequest

# The question about a number between bounds.
UNBOUND = "fraction"
_COLOUR = {"enum": ["red", "größe/2", 'a "quote"', "back\\slash", "🍵", None]}
_PRODUCT = {
    "type": "object",
    "properties": {
        "colour": _COLOUR,
        "size": {"$ref": "#/$defs/size"},
        "tags": {"type": "array", "items": {"enum": ["new", "used"]}, "minItems": 1, "maxItems": 3},
        "kind": {"anyOf": [{"const": "mug"}, {"const": 7}]},
        "größe": {"type": "boolean"},
    },
    "required": ["colour", "size", "tags", "kind", "größe"],
    "additionalProperties": False,
    "$defs": {
        "size": {
            "type": "object",
            "properties": {"count": {"type": "integer", "minimum": 1, "maximum": 12}},
            "required": ["count"],
            "additionalProperties": False,
        }
    },
}
_CODE = {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}
_DATE = {"type": "string", "format": "date"}
_FRACTION = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
_YES = {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"], "additionalProperties": False}


def requests(image: str) -> list[ImageRequest]:
    """Return requests about the image at an address."""
    questions = [
        {"id": "prose", "text": "What is it?", "max_tokens": 24},
        {"id": "wine", "text": "Which one?", "response_format": _choice("red", "red wine", "blue")},
        {"id": "mug", "text": "What is it?", "response_format": _choice("mug", "größe", "T-shirt", '"x"')},
        {"id": "product", "text": "Describe it.", "response_format": _json(_PRODUCT)},
        {"id": "code", "text": "Which code?", "response_format": _json(_CODE)},
        {"id": "date", "text": "When?", "response_format": _json(_DATE)},
        {"id": UNBOUND, "text": "How sure?", "response_format": _json(_FRACTION)},
        {"id": "thought", "text": "Think.", "response_format": _json(_YES), "reasoning": True, "max_tokens": 64},
        {"id": "after", "text": "And?", "response_format": _json(_YES), "when": _when("thought", True)},
        {"id": "never", "text": "Or?", "response_format": _json(_YES), "when": _when("thought", False)},
    ]
    several = [{"id": "both", "text": "Which one?", "response_format": _choice("first", "second")}]
    return [
        _request("one image", {"image": {"uri": image}, "questions": questions}),
        _request("two images", {"images": [{"uri": image}] * 2, "questions": several, "detail": "low"}),
    ]


def _request(name: str, fields: dict[str, Any]) -> ImageRequest:
    common = {"request_id": name, "product_id": "p", "submitted_at": datetime.now(UTC), "options": {"max_tokens": 300}}
    return ImageRequest.model_validate(fields | common)


def _choice(*choices: str) -> dict[str, Any]:
    return {"type": "choice", "choices": choices}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _when(question: str, value: object) -> dict[str, Any]:
    return {"question": question, "field": "ok", "in": [value]}
