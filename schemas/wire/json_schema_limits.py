"""Checks a JSON Schema that an answer is asked in, in plain Python: a publisher has no library for it.

Whatever passes is small, refers to nothing outside itself, does not recurse, and leaves no value open. Whether a
pattern can be used is left to the worker, which compiles it before it fetches anything.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.json_depth import is_deeper
from sightstream.schemas.wire.json_schema_size import SchemaSize, measure
from sightstream.schemas.wire.json_schema_syntax import SchemaProblem, parse_schema
from sightstream.schemas.wire.unusable_request import UnusableRequest

MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_DEPTH = 58  # brackets; six more stand around a schema in a request of 64
REMEMBERED = 256

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # not behind a backslash that is itself escaped


def check_json_schema(schema: dict[str, Any]) -> SchemaSize:
    """Return the sizes of the answers that fit. Raises UnusableRequest (schema_unusable) where a schema breaks a limit.

    The message names the place as a reference would, such as `#/properties/colour`. Blocks for nothing, and a schema
    that was checked before costs only its serialization.
    """
    try:
        return _check_text(compact_json(schema))
    except SchemaProblem as problem:
        raise UnusableRequest(Reason.SCHEMA_UNUSABLE, str(problem)) from None


def compact_json(schema: dict[str, Any]) -> str:
    """Return the schema as it counts against the limits: without spaces, its keys in their order.

    Raises UnusableRequest when it is no JSON.
    """
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError):
        raise UnusableRequest(Reason.SCHEMA_UNUSABLE, "the schema is no JSON; write it as on the wire") from None
    return text


@lru_cache(maxsize=REMEMBERED)
def _check_text(text: str) -> SchemaSize:
    """Check the schema once for all requests that repeat it, byte for byte."""
    value = text.encode()
    if len(value) > MAX_SCHEMA_BYTES:
        raise SchemaProblem("#", f"{len(value)} bytes are over the cap of {MAX_SCHEMA_BYTES}; ask for less at a time")
    if is_deeper(value, MAX_SCHEMA_DEPTH):
        raise SchemaProblem("#", f"nested deeper than {MAX_SCHEMA_DEPTH} brackets; write inner schemas into $defs")
    if _NUL.search(text):
        raise SchemaProblem("#", "a text holds the character NUL, which databases refuse; leave it out")
    return measure(parse_schema(json.loads(text)))
