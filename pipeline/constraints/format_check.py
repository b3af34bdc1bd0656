"""Refuses response formats that cannot be used, before anything is fetched for them."""

from __future__ import annotations

from functools import lru_cache

from sightstream.pipeline.constraints.checker import checker_of
from sightstream.pipeline.constraints.format_key import FormatKey
from sightstream.pipeline.constraints.grammar import grammar_of, limits
from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.pipeline.errors import Rejected
from sightstream.schemas.wire.json_schema_limits import check_json_schema
from sightstream.schemas.wire.response_format import JsonSchemaFormat, ResponseFormat, SectionsFormat
from sightstream.schemas.wire.unusable_request import UnusableRequest

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
        chosen = key.response_format
        return _limit_problem(chosen) or _grammar_problem(chosen) or _checker_problem(chosen)
    except Rejected as error:
        return str(error)
    except (AttributeError, TypeError, RecursionError):
        return "the schema is no JSON Schema"


def _limit_problem(response_format: ResponseFormat) -> str | None:
    """Return what the publisher would have said: who asks the pipeline directly has no publisher."""
    if isinstance(response_format, JsonSchemaFormat):
        try:
            check_json_schema(response_format.json_schema.schema_)
        except UnusableRequest as error:
            return error.detail
    return None


def _grammar_problem(response_format: ResponseFormat) -> str | None:
    from llguidance import LLMatcher

    grammar = grammar_of(response_format)
    if grammar is None:
        return None
    return LLMatcher.validate_grammar(grammar, limits=limits()) or None


def _checker_problem(response_format: ResponseFormat) -> str | None:
    if isinstance(response_format, JsonSchemaFormat):
        checker_of(response_format)
    return None
