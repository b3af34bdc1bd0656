"""Turns what a task file says about the format of an answer into the wire's response format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sightstream.producers.tasks.task_file import TaskQuestion
from sightstream.schemas.wire.response_format import (
    SECTIONS_FORMAT,
    ChoiceFormat,
    JsonSchema,
    JsonSchemaFormat,
    ResponseFormat,
)
from sightstream.schemas.wire.validation_message import explain

MAX_SCHEMA_FILE_BYTES = 1024**2


def response_format(question: TaskQuestion, path: str, folder: Path) -> ResponseFormat:
    """Return the format of the answer; `path` is the question's in its file. Raises ValueError that begins with it.

    Blocks on the disk where the question names a file, which is relative to `folder`.
    """
    if question.choices is not None:
        return _choice_format(question.choices, f"{path}.choices")
    if question.schema_file is not None:
        text = _read(folder / question.schema_file, f"{path}.schema_file")
        return _json_format(question.id, text, f"{path}.schema_file")
    if question.schema_ is not None:
        return _json_format(question.id, question.schema_, f"{path}.schema")
    return SECTIONS_FORMAT


def _choice_format(choices: tuple[str, ...], path: str) -> ChoiceFormat:
    try:
        return ChoiceFormat(choices=choices)
    except ValidationError as error:
        raise ValueError(f"{path}: {explain(error)}") from None


def _read(file: Path, path: str) -> str:
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_SCHEMA_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: {file} can't be read: {error.strerror}") from None
    if len(text) > MAX_SCHEMA_FILE_BYTES:
        raise ValueError(f"{path}: {file} is larger than {MAX_SCHEMA_FILE_BYTES} bytes")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: {file} is not UTF-8") from None


def _json_format(name: str, given: dict[str, Any] | str, path: str) -> JsonSchemaFormat:
    schema = _parse(given, path) if isinstance(given, str) else given
    return JsonSchemaFormat(json_schema=JsonSchema(name=name, schema_=schema))


def _parse(text: str, path: str) -> dict[str, Any]:
    try:
        schema = json.loads(text, object_pairs_hook=_unique_keys)
    except ValueError as error:  # of JSON, with line and column, and of our own check
        raise ValueError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ValueError(f"{path}: a JSON Schema is an object; write it in braces")
    return schema


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found
