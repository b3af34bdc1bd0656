"""Schemas of kinds that training never shows: objects in objects, lists, constants, other names and other orders."""

from __future__ import annotations

import random
from typing import Any

from sightstream.infra.lab.demo_model.formats import FormatQuestion, compact, has_text, is_damaged
from sightstream.infra.lab.demo_model.pictures import COLOURS, KINDS, PATTERNS, Labels, PictureSpec
from sightstream.schemas.wire.response_format import JsonSchema, JsonSchemaFormat

QUESTIONS = ("Describe the product.", "Which attributes does this product have?", "Fill in the form.")


def unusual_question(rng: random.Random, spec: PictureSpec) -> FormatQuestion:
    """A question for JSON of an unusual schema, about a picture of anything."""
    schema, value = rng.choice((_nested, _listed, _renamed, _described))(spec.labels)
    wanted = JsonSchemaFormat(json_schema=JsonSchema(name="unusual", schema_=schema))
    return FormatQuestion(rng.choice(QUESTIONS), wanted, "", compact(value))


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _kind(labels: Labels) -> str:
    return labels.kind if labels.kind in KINDS else "other"


def _nested(labels: Labels) -> tuple[dict[str, Any], Any]:
    item = {"kind": {"enum": [*KINDS, "other"]}, "count": {"type": "integer", "minimum": 0, "maximum": 9}}
    looks = {"colour": {"enum": [*COLOURS, "other"]}, "pattern": {"enum": [*PATTERNS, "other"]}}
    value = {
        "item": {"kind": _kind(labels), "count": labels.count},
        "looks": {"colour": labels.colour or "other", "pattern": labels.pattern or "other"},
    }
    return _object({"item": _object(item), "looks": _object(looks)}), value


def _listed(labels: Labels) -> tuple[dict[str, Any], Any]:
    colours = {"type": "array", "items": {"enum": [*COLOURS, "other"]}, "minItems": 1, "maxItems": 1}
    schema = _object({"kind": {"enum": [*KINDS, "other"]}, "colours": colours})
    return schema, {"kind": _kind(labels), "colours": [labels.colour or "other"]}


def _renamed(labels: Labels) -> tuple[dict[str, Any], Any]:
    schema = _object(
        {
            "how_many": {"type": "integer", "minimum": 0, "maximum": 9},
            "what_colour": {"enum": [*COLOURS, "other"]},
            "article": {"enum": [*KINDS, "other"]},
            "is_broken": {"type": "boolean"},
        }
    )
    names = ("how_many", "what_colour", "article", "is_broken")
    values = (labels.count, labels.colour or "other", _kind(labels), is_damaged(labels))
    return schema, dict(zip(names, values, strict=True))


def _described(labels: Labels) -> tuple[dict[str, Any], Any]:
    schema = _object(
        {
            "version": {"const": 2},
            "a": {"enum": [*PATTERNS, "other"], "description": "pattern of the surface"},
            "b": {"type": "boolean", "description": "whether there is text"},
            "c": {"anyOf": [{"enum": list(KINDS)}, {"type": "null"}], "description": "kind of product"},
        }
    )
    kind = labels.kind if labels.kind in KINDS else None
    return schema, {"version": 2, "a": labels.pattern or "other", "b": has_text(labels), "c": kind}
