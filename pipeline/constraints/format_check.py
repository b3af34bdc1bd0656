"""Refuses response formats that cannot be used, before anything is fetched for them."""

from __future__ import annotations

from functools import lru_cache

from sightstream.pipeline.constraints.checker import checker_of
from sightstream.pipeline.constraints.format_key import FormatKey
from sightstream.pipeline.constraints.grammar import grammar_of, limits
from sightstream.pipeline.constraints.schema_problems import check_schema
from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.response_format import JsonSchemaFormat, ResponseFormat, SectionsFormat

REMEMBERED = 1024


def check_format(response_format: ResponseFormat) -> None:
    """Raise Rejected (schema_unusable) when no answer can be held to the format, or checked against it.

    Blocks for half a second at most when the format is new; never dials, whatever the format refers to.
    """
    if isinstance(response_format, SectionsFormat):
        return
    problem = _problem(FormatKey(response_format))
    if problem is not None:
        raise unusable(problem)


@lru_cache(maxsize=REMEMBERED)
def _problem(key: FormatKey) -> str | None:
    try:
        if isinstance(key.response_format, JsonSchemaFormat):
            return _schema_problem(key.response_format)
        return _grammar_problem(key.response_format)
    except Rejected as error:
        return str(error)


def _schema_problem(response_format: JsonSchemaFormat) -> str | None:
    check_schema(response_format.json_schema.schema_)
    problem = _grammar_problem(response_format)
    if problem is None:
        checker_of(response_format)
    return problem


def _grammar_problem(response_format: ResponseFormat) -> str | None:
    from llguidance import LLMatcher

    grammar = grammar_of(response_format)
    if grammar is None:
        return None
    return _without_location(LLMatcher.validate_grammar(grammar, limits=limits())) or None


def _without_location(problem: str) -> str:
    """llguidance names the location in the narrowed schema, which nobody but us has seen."""
    return problem.partition(" while processing json-schema:")[0].partition("\n<state>")[0]
