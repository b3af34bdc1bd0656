"""Writes the published schemas from the models: a JSON Schema for each record, and one AsyncAPI document."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sightstream.schemas.wire.asyncapi import asyncapi
from sightstream.schemas.wire.dead_letter import CODE_PATTERN, HEADER_PREFIX, MAX_DETAIL_CHARS, Reason, Stage
from sightstream.schemas.wire.redrive import HISTORY_PREFIX, RedriveMarker
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result import ImageResult
from sightstream.schemas.wire.result_v2 import ImageResultV2

FOLDER = Path(__file__).parents[1] / "published"
# Of versions that no model here describes alone any more; these files never change.
FROZEN = ("image-request.v1.schema.json",)
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Document = dict[str, Any]

_UNUSED_BESIDE_QUESTIONS: Document = {
    "response_format": {"properties": {"type": {"const": "sections"}}},
    "reasoning": {"type": "null"},
}


def published_schemas() -> dict[str, str]:
    """Return the text of everything that is published, by file name."""
    contents: dict[str, Document] = {
        "image-request.v2.schema.json": _request_schema(),
        "image-result.v1.schema.json": _record_schema(ImageResult),
        "image-result.v2.schema.json": _record_schema(ImageResultV2),
        "dead-letter-headers.v1.schema.json": _dead_letter_headers(),
        "redrive-marker.v1.schema.json": _record_schema(RedriveMarker),
        "asyncapi.json": asyncapi(),
    }
    written = {name: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for name, content in contents.items()}
    return written | {name: (FOLDER / name).read_text(encoding="utf-8") for name in FROZEN}


def write(folder: Path = FOLDER) -> list[Path]:
    """Write every document and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in published_schemas().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def stale_files(folder: Path = FOLDER) -> list[str]:
    """Return the names of the files that are missing, out of date, or no longer written."""
    expected = published_schemas()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def _record_schema(model: type[BaseModel]) -> Document:
    return {"$schema": DIALECT, **model.model_json_schema()}


def _request_schema() -> Document:
    """Return the schema of a request of version 2, with the rules on pairs of fields that the model checks itself."""
    schema = _record_schema(ImageRequest)
    schema["properties"]["schema_version"] = {"const": 2, "description": "Version of this schema."}
    schema["required"] = ["schema_version", *schema["required"]]
    for name in ("SectionsFormat", "JsonSchemaFormat", "ChoiceFormat"):  # the type tells them apart
        chosen = schema["$defs"][name]
        chosen["required"] = ["type", *chosen.get("required", ())]
    schema["allOf"] = [
        {"oneOf": [_given("image"), _given("images")]},
        {"oneOf": [_given("question"), _given("questions")]},
        {"anyOf": [_given("question"), {"properties": _UNUSED_BESIDE_QUESTIONS}]},
    ]
    return schema


def _given(name: str) -> Document:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _code(known: type[StrEnum]) -> Document:
    """Return the schema of a code: later versions may add values, so a reader must accept those that it does not know.

    The known ones are named beside it, for people and for code generators.
    """
    later = {"pattern": CODE_PATTERN, "description": "A value that a later version added."}
    return {"type": "string", "anyOf": [{"enum": [code.value for code in known]}, later]}


def _dead_letter_headers() -> Document:
    """Return the schema of the headers; values are bytes on the wire, and it describes their UTF-8 text."""
    number = {"type": "string", "pattern": "^[0-9]+$"}
    properties = {
        "reason": _code(Reason),
        "stage": _code(Stage),
        "detail": {"type": "string", "maxLength": MAX_DETAIL_CHARS, "description": "Printable and free of secrets."},
        "attempts": number,
        "failed-at": {"type": "string", "format": "date-time"},
        "source-topic": {"type": "string"},
        "source-partition": number,
        "source-offset": number,
    }
    for_omitted_record = {
        "omitted-bytes": number
        | {"description": "Size of a record that was too large to keep; its key and value are gone."},
        "omitted-sha256": {
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
            "description": "Digest of the omitted value.",
        },
    }
    for_redriven_request = {
        HISTORY_PREFIX.removeprefix(HEADER_PREFIX) + name: schema
        for name, schema in {
            "count": number | {"description": "How often the request was redriven; it also stands on its result."},
            "letter": {
                "type": "string",
                "description": "The letter redriven last: topic/topic id/partition/offset.",
            },
            "first-source": {"type": "string", "description": "The first record: topic/partition/offset."},
            "first-reason": {"type": "string", "pattern": CODE_PATTERN},
            "first-failed-at": {"type": "string", "format": "date-time"},
        }.items()
    }
    optional = for_omitted_record | for_redriven_request
    return {
        "$schema": DIALECT,
        "title": "DeadLetterHeaders",
        "description": "Why a request has no answer. Key, value and other headers are the original record's.",
        "type": "object",
        "properties": {HEADER_PREFIX + name: schema for name, schema in (properties | optional).items()},
        "required": [HEADER_PREFIX + name for name in properties],
        "additionalProperties": True,
    }
