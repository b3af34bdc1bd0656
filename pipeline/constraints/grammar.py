"""Turns a response format into the grammar that llguidance compiles, under limits that bound the compiling."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from sightstream.pipeline.constraints.bounded_schema import bounded
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat, ResponseFormat

if TYPE_CHECKING:
    from llguidance import LLParserLimits
    from llguidance._lib import JsonCompileOptions

# No free whitespace: a model that has nothing to say writes it up to its last token. No \u escapes: none is needed, and
# \u0000 is a text that databases refuse.
_OPTIONS: JsonCompileOptions = {"whitespace_flexible": False, "json_allowed_escapes": '"\\nrt'}


def grammar_of(response_format: ResponseFormat) -> str | None:
    """Return the grammar, None for sections: they are asked for, and never forced. Raises nothing for a bad schema."""
    from llguidance import LLMatcher

    if isinstance(response_format, JsonSchemaFormat):
        schema = bounded(response_format.json_schema.schema_)
        return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_OPTIONS)
    if isinstance(response_format, ChoiceFormat):
        choices = " | ".join(json.dumps(choice, ensure_ascii=False) for choice in response_format.choices)
        return LLMatcher.grammar_from_lark(f"start: {choices}")
    return None


@cache
def limits() -> LLParserLimits:
    """Return the limits of compiling and of each mask; their time bounds were measured with hostile schemas."""
    from llguidance import LLParserLimits

    return LLParserLimits(
        initial_lexer_fuel=200_000,
        max_grammar_size=50_000,
        max_lexer_states=50_000,
        step_lexer_fuel=200_000,
        step_max_items=50_000,
        max_items_in_row=2_000,
        verbose_errors=False,
    )
