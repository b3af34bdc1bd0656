"""Parses the text of a finished answer into its value, and checks the value against the format."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from sightstream.pipeline.constraints.checker import checker_of
from sightstream.pipeline.constraints.strict_json import parse_strictly
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat, ResponseFormat


@dataclass(frozen=True, slots=True)
class ParsedValue:
    """The value of an answer. `problem` says in a sentence why it is not valid, and is None when it is."""

    value: JsonValue
    valid: bool
    problem: str | None = None


def parse_value(response_format: ResponseFormat, text: str) -> ParsedValue:
    """Return the value of `text`. Never raises, never dials; time grows with the length of the text alone.

    What is no JSON has no value; JSON that does not fit the schema has one, and is not valid.
    """
    if isinstance(response_format, JsonSchemaFormat):
        return _parse_json(response_format, text)
    if isinstance(response_format, ChoiceFormat):
        return _parse_choice(response_format, text)
    return ParsedValue(text, bool(text), None if text else "The answer is empty.")


def _parse_choice(response_format: ChoiceFormat, text: str) -> ParsedValue:
    if text in response_format.choices:
        return ParsedValue(text, True)
    return ParsedValue(None, False, "The answer is none of the choices.")


def _parse_json(response_format: JsonSchemaFormat, text: str) -> ParsedValue:
    try:
        value = parse_strictly(text)
    except ValueError as error:
        return ParsedValue(None, False, f"The answer is no JSON: {error}.")
    problem = _problem_of(response_format, value)
    return ParsedValue(value, problem is None, problem)


def _problem_of(response_format: JsonSchemaFormat, value: JsonValue) -> str | None:
    try:
        return checker_of(response_format).problem_of(value)
    except Rejected as error:
        return f"The schema cannot be used: {error}."
