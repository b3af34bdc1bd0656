"""Compares answers with what a person asks for: `look.colour=red`."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from pydantic import JsonValue

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"(?P<names>(?:\\.|!(?!=)|[^\\=<>!])*)(?P<operator>[!<>]=|[=<>])(?P<operand>.*)", re.DOTALL)
_NAME = re.compile(r"(?:\\.|[^\\.])*", re.DOTALL)
_QUESTION_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Condition:
    """`path` leads to the value inside the answer to `question_id`; `text` is all that a person wrote."""

    text: str
    question_id: str
    path: tuple[str, ...]
    operator: str
    operand: str

    def holds(self, value: JsonValue) -> bool:
        """Return whether the answer meets the condition. An answer that has no such field never does.

        An array meets it when one of its elements does; `!=` needs that none is equal. Numbers are compared with
        numbers, and text with text: `<` and `>` need an operand of the same kind. `true`, `false` and `null` equal
        themselves and the text of that name.
        """
        found = list(_find(value, self.path))
        if self.operator == "!=":
            return bool(found) and not any(self._compare("=", each) for each in found)
        return any(self._compare(self.operator, each) for each in found)

    def _compare(self, name: str, value: JsonValue) -> bool:
        compare, wanted = _OPERATORS[name], _plain_json(self.operand)
        if isinstance(value, str):
            return (name == "=" or wanted is _TEXT) and compare(value, self.operand)
        if isinstance(value, bool) or value is None:
            return name == "=" and wanted is value
        is_number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
        return is_number and isinstance(value, int | float) and compare(value, wanted)


_TEXT = object()  # what is no number, true, false or null


def _find(value: JsonValue, path: tuple[str, ...]) -> Iterator[JsonValue]:
    """Yield the values at `path`; one inside an array is found in each of its elements."""
    if isinstance(value, list):
        for element in value:
            yield from _find(element, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _find(value[path[0]], path[1:])


@lru_cache(maxsize=64)
def _plain_json(text: str) -> object:
    """Return the number, true, false or null that the text is, else _TEXT."""
    try:
        parsed: object = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _TEXT
    return _TEXT if isinstance(parsed, str | list | dict) else parsed


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


@lru_cache(maxsize=64)
def parse_condition(text: str) -> Condition:
    r"""Return the condition in `QUESTION.field=value`, with any number of fields, or none, and one of = != < <= > >=.

    A backslash before a dot, a backslash or an operator makes it part of a name. Raises ValueError with a sentence.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} has no operator; write QUESTION.field=value, or one of != < <= > >=")
    question_id, *path = (re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL) for name in _split(match["names"]))
    if not _QUESTION_ID.fullmatch(question_id):
        raise ValueError(f"{question_id!r} is no id of a question; write QUESTION.field=value")
    return Condition(text, question_id, tuple(path), match["operator"], match["operand"])


def _split(names: str) -> Iterator[str]:
    at = 0
    while at <= len(names):
        match = _NAME.match(names, at)
        assert match is not None  # noqa: S101  # it matches the empty text, too
        yield match.group()
        at = match.end() + 1


def value_holds(value: str | None, condition: str) -> bool:
    """Return whether JSON meets the condition. Never raises: SQLite calls it, for files that may be damaged."""
    try:
        return value is not None and parse_condition(condition).holds(json.loads(value))
    except (ValueError, RecursionError, TypeError):
        return False
