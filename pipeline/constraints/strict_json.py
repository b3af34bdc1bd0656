"""Parses JSON strictly: what two readers may understand differently, or a database cannot hold, is refused."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import NoReturn, cast

from pydantic import JsonValue

from sightstream.pipeline.constraints.bounded_number import LARGEST_NUMBER

MAX_DEPTH = 32
MAX_CHARS = 1024 * 1024
MAX_INTEGER_CHARS = len(str(-LARGEST_NUMBER))

_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?+|[\[{]|[\]}]', re.DOTALL)


def parse_strictly(text: str) -> JsonValue:
    """Return the value. Raises ValueError, with half a sentence about the problem.

    Refused are: keys that occur twice, NaN and infinities, numbers beyond 2^53, texts with NUL or with half a surrogate
    pair, more than 32 levels, and a megabyte of text.
    """
    if len(text) > MAX_CHARS:
        raise ValueError(f"it has over {MAX_CHARS} characters")
    _check_depth(text)
    try:
        value = cast(JsonValue, _decoder().decode(text))
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from None
    if "\\u" in text or not text.isascii():
        _check_texts(value)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for match in _STRUCTURE.finditer(text):
        first = match.group()[:1]
        depth += (first in "[{") - (first in "]}")
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _check_texts(value: object) -> None:
    """Only an escape can make such a text, so few answers come here."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("a text holds NUL, or half a surrogate pair")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_texts(name)
            _check_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner)


@cache
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_float
    )


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return unique


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_CHARS or abs(int(text)) > LARGEST_NUMBER:
        raise ValueError("a number is beyond 2^53")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or abs(number) > LARGEST_NUMBER:
        raise ValueError("a number is beyond 2^53")
    return number
