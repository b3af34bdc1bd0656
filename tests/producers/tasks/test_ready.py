"""The tasks that come with the package are good examples: each can be used, and its answers fit their limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightstream.infra.lab.demo_model.pictures import COLOURS, KINDS, MAX_COUNT, PATTERNS
from sightstream.producers.tasks.read import read_task, ready_tasks
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat

READY = ready_tasks()
# Prose has about 4 characters per token. Copied digits and foreign words have fewer.
CHARS_PER_TOKEN = 2.5


def by_name(path: Path) -> str:
    return path.stem


def schema_of(question: Question) -> dict[str, Any]:
    assert isinstance(question.response_format, JsonSchemaFormat)
    return question.response_format.json_schema.schema_


def longest(schema: dict[str, Any]) -> int:
    """Characters of the longest JSON that fits a schema, as far as the ready tasks use JSON Schema."""
    if "enum" in schema:
        return max(len(json.dumps(value)) for value in schema["enum"])
    match schema["type"]:
        case "object":
            return 1 + sum(len(name) + 4 + longest(inner) for name, inner in schema["properties"].items())
        case "array":
            return 1 + int(schema["maxItems"]) * (longest(schema["items"]) + 1)
        case "string":
            return 2 + int(schema["maxLength"])
        case "boolean":
            return 5
        case "integer" | "number":
            return len(str(schema["maximum"])) + 3
    raise AssertionError(f"a longest answer of {schema} is not known")


def objects(schema: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return [*([schema] if "properties" in schema else []), *(found for each in inner for found in objects(each))]


def test_there_are_five() -> None:
    assert [path.stem for path in READY] == [
        "alt-text",
        "damage-and-condition",
        "moderation",
        "price-tag-and-text",
        "product-basics",
    ]


@pytest.mark.parametrize("path", READY, ids=by_name)
def test_each_is_named_like_its_file_described_and_needs_no_columns(path: Path) -> None:
    task = read_task(path)
    assert task.name == path.stem
    assert task.description.endswith(".")
    assert task.columns == ()


@pytest.mark.parametrize("path", READY, ids=by_name)
def test_every_answer_has_the_tokens_that_its_longest_value_needs(path: Path) -> None:
    task = read_task(path)
    for question in task.questions:
        chosen = question.response_format
        length = max(map(len, chosen.choices)) if isinstance(chosen, ChoiceFormat) else longest(schema_of(question))
        assert question.max_tokens is not None
        assert length / CHARS_PER_TOKEN <= question.max_tokens, question.id


@pytest.mark.parametrize("path", READY, ids=by_name)
def test_every_object_is_closed_and_complete(path: Path) -> None:
    for question in read_task(path).questions:
        if isinstance(question.response_format, JsonSchemaFormat):
            for schema in objects(schema_of(question)):
                assert schema["additionalProperties"] is False
                assert schema["required"] == list(schema["properties"])


def test_product_basics_fits_what_the_demo_draws() -> None:
    (question,) = read_task(next(path for path in READY if path.stem == "product-basics")).questions
    properties = schema_of(question)["properties"]
    assert list(properties) == ["kind", "colour", "pattern", "count", "has_text"]
    assert properties["kind"]["enum"] == [*KINDS, "other"]
    assert properties["colour"]["enum"] == [*COLOURS, "other"]
    assert properties["pattern"]["enum"] == [*PATTERNS, "other"]
    assert properties["count"]["maximum"] >= MAX_COUNT
