"""Checks that the conditions of a task can hold: a misspelt answer would skip its question for every image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sightstream.schemas.wire.question import Condition, Question
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat


def check_conditions(questions: Sequence[Question]) -> None:
    """Raise ValueError for a condition on an answer that its earlier question can't have, or on a field without JSON.

    Unknown and later ids are left to the request's own check.
    """
    earlier: dict[str, Question] = {}
    for question in questions:
        if question.when is not None and question.when.question in earlier:
            _check(question.id, question.when, earlier[question.when.question])
        earlier[question.id] = question


def _check(question_id: str, when: Condition, earlier: Question) -> None:
    try:
        possible = possible_answers(earlier, when.field)
    except ValueError as error:
        raise ValueError(f"questions: {question_id}: when.field: {error}") from None
    if possible is None:
        return
    known = {_exact(value) for value in possible}
    for value in when.in_:
        if _exact(value) not in known:
            raise ValueError(
                f"questions: {question_id}: when.in: {json.dumps(value)} is no answer of {earlier.id}; "
                f"it may answer {', '.join(map(json.dumps, possible))}"
            )


def possible_answers(question: Question, field: str | None) -> Sequence[Any] | None:
    """Return the values that the answer, or its field, may have; None where they can't be listed.

    Raises ValueError where the answer has no such field.
    """
    chosen = question.response_format
    if isinstance(chosen, JsonSchemaFormat):
        return _listed(chosen.json_schema.schema_ if field is None else _property(question, field))
    if field is not None:
        raise ValueError(f"the answer of {question.id} is no JSON; leave field out")
    return chosen.choices if isinstance(chosen, ChoiceFormat) else None


def _property(question: Question, field: str) -> object:
    assert isinstance(question.response_format, JsonSchemaFormat)  # noqa: S101
    properties = question.response_format.json_schema.schema_.get("properties")
    if not isinstance(properties, dict):
        return {}
    if field not in properties:
        raise ValueError(f"{question.id} has no field {field}; it has {', '.join(properties)}")
    return properties[field]


def _listed(schema: object) -> Sequence[Any] | None:
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return [schema["const"]]
    if isinstance(schema.get("enum"), list):
        listed: list[Any] = schema["enum"]
        return listed
    return [True, False] if schema.get("type") == "boolean" else None


def _exact(value: object) -> str:
    """Return a text that differs for 1, true and "1", and is equal for 1 and 1.0, as in the flow."""
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value, sort_keys=True)
