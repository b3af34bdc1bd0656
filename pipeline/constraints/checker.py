"""Checks JSON values against a schema with jsonschema-rs: in linear time, and without any network."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sightstream.pipeline.constraints.format_key import FormatKey
from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.schemas.wire.response_format import JsonSchemaFormat

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

# An automaton of a pattern may have so many bytes.
MAX_PATTERN_BYTES = 1 << 20
REMEMBERED = 256


def checker_of(response_format: JsonSchemaFormat) -> Draft202012Validator:
    """Return the checker, made once for formats that repeat.

    Raises Rejected (schema_unusable) when the schema is none, or refers to something outside.
    """
    return _make(FormatKey(response_format))


@lru_cache(maxsize=REMEMBERED)
def _make(key: FormatKey) -> Draft202012Validator:
    from jsonschema_rs import Draft202012Validator, RegexOptions

    assert isinstance(key.response_format, JsonSchemaFormat)  # noqa: S101
    options = RegexOptions(size_limit=MAX_PATTERN_BYTES, dfa_size_limit=MAX_PATTERN_BYTES)
    try:
        return Draft202012Validator(
            key.response_format.json_schema.schema_,
            validate_formats=True,
            ignore_unknown_formats=False,
            pattern_options=options,
            offline=True,
        )
    except Exception as error:
        raise unusable(str(error)) from None
