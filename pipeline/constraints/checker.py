"""Checks JSON values against a schema with jsonschema-rs: in linear time, and without any network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from sightstream.pipeline.constraints.alternatives import count_alternatives
from sightstream.pipeline.constraints.format_key import FormatKey
from sightstream.pipeline.constraints.schema_problems import check_schema
from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.schemas.wire.response_format import JsonSchemaFormat

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

# An automaton of a pattern may have so many bytes.
MAX_PATTERN_BYTES = 4 << 20
REMEMBERED = 256
MAX_EXPLAINED = 32


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks values against one schema. Of many alternatives, what is wrong with each is too much to say."""

    validator: Draft202012Validator
    explains: bool

    def problem_of(self, value: JsonValue) -> str | None:
        """Return why the value does not fit, in a sentence, None when it fits. Time grows with the value alone."""
        from jsonschema_rs import ValidationError

        if self.validator.is_valid(value):
            return None
        if not self.explains:
            return "The answer fits none of the schema's alternatives."
        try:
            self.validator.validate(value)
        except ValidationError as error:
            return f"The answer does not fit the schema: {describe(error)}."
        return None


def checker_of(response_format: JsonSchemaFormat) -> Checker:
    """Return the checker, made once for formats that repeat.

    Raises Rejected (schema_unusable) when the schema is none, or refers to something outside.
    """
    return _make(FormatKey(response_format))


@lru_cache(maxsize=REMEMBERED)
def _make(key: FormatKey) -> Checker:
    assert isinstance(key.response_format, JsonSchemaFormat)  # noqa: S101
    return new_checker(key.response_format.json_schema.schema_)


def new_checker(schema: dict[str, Any]) -> Checker:
    """Return a checker of its own. Raises as `checker_of` does."""
    check_schema(schema)  # the library dies of a schema that contains itself
    return Checker(_validator(schema), count_alternatives(schema) <= MAX_EXPLAINED)


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    from jsonschema_rs import Draft202012Validator, RegexOptions

    options = RegexOptions(size_limit=MAX_PATTERN_BYTES, dfa_size_limit=MAX_PATTERN_BYTES)
    try:
        return Draft202012Validator(
            schema,
            validate_formats=True,
            ignore_unknown_formats=False,
            pattern_options=options,
            offline=True,
        )
    except Exception as error:  # a ValueError, or an error of references; the library names no base of both
        raise unusable(describe(error)) from None


def describe(error: Exception) -> str:
    """Return what is wrong in one line; an error of validation would repeat the schema as well."""
    return " ".join(str(getattr(error, "message", error)).split())[:300]
