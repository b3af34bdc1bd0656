"""Refuses response formats that cannot be used, before anything is fetched for them."""

from __future__ import annotations

from sightstream.pipeline.constraints.checker import new_checker
from sightstream.pipeline.constraints.grammar import grammar_of, limits
from sightstream.pipeline.constraints.schema_problems import check_schema
from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.schemas.wire.response_format import JsonSchemaFormat, ResponseFormat


def check_format(response_format: ResponseFormat) -> None:
    """Raise Rejected (schema_unusable) when no answer can be held to the format, or checked against it.

    Blocks for half a second at most with all the schemas that were tried; never dials, whatever the format refers to.
    """
    if isinstance(response_format, JsonSchemaFormat):
        check_schema(response_format.json_schema.schema_)
    problem = _grammar_problem(response_format)
    if problem is not None:
        raise unusable(problem)
    if isinstance(response_format, JsonSchemaFormat):
        new_checker(response_format.json_schema.schema_)


def _grammar_problem(response_format: ResponseFormat) -> str | None:
    from llguidance import LLMatcher

    grammar = grammar_of(response_format)
    if grammar is None:
        return None
    return _without_location(LLMatcher.validate_grammar(grammar, limits=limits())) or None


def _without_location(problem: str) -> str:
    """llguidance names the location in the narrowed schema, which nobody but us has seen."""
    return problem.partition(" while processing json-schema:")[0].partition("\n<state>")[0]
