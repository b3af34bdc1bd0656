"""Writes a text that a regular expression matches, for the simulated engine."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

# Chooses a number below `count`, by a step that is different for each choice of one text.
Chooser = Callable[[int, int], int]

EXTRA_REPEATS = 3
CATEGORIES = {"CATEGORY_DIGIT": "0123456789", "CATEGORY_WORD": "abcxyz_09", "CATEGORY_SPACE": " "}
PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]


def text_for_pattern(pattern: str, choose: Chooser) -> str:
    """Return a text that the whole pattern matches. Raises ValueError for what is not understood."""
    try:
        return _Writer(choose).sequence(_parsed(pattern))
    except (re.error, KeyError, IndexError, RecursionError, OverflowError) as error:
        raise ValueError(f"no text for this pattern: {type(error).__name__}") from error


@lru_cache(256)
def _parsed(pattern: str) -> Any:
    parser: Any = importlib.import_module("re._parser")  # the standard library's own, which has no public name
    return parser.parse(pattern)


class _Writer:
    """Writes one text; `_step` numbers its choices."""

    def __init__(self, choose: Chooser) -> None:
        self._choose, self._step = choose, 0

    def sequence(self, parts: Any) -> str:
        return "".join(self._part(str(kind), details) for kind, details in parts)

    def _pick(self, options: Any) -> Any:
        self._step += 1
        return options[self._choose(self._step, len(options))]

    def _part(self, kind: str, details: Any) -> str:
        if kind == "LITERAL":
            return chr(details)
        if kind == "NOT_LITERAL":
            return str(self._pick([letter for letter in "abc" if letter != chr(details)]))
        if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self._repeated(*details)
        if kind == "SUBPATTERN":
            return self.sequence(details[-1])
        if kind == "BRANCH":
            return self.sequence(self._pick(details[1]))
        return {"ANY": "x", "AT": ""}[kind] if kind != "IN" else str(self._pick(_letters(details)))

    def _repeated(self, least: int, most: int, parts: Any) -> str:
        count = least + self._pick(range(min(int(most) - least, EXTRA_REPEATS) + 1))
        return "".join(self.sequence(parts) for _ in range(count))


def _letters(details: Any) -> list[str]:
    """Return some letters of a class such as [a-z0-9_]."""
    negated = str(details[0][0]) == "NEGATE"
    named = [letter for kind, value in details for letter in _of_member(str(kind), value)]
    return [letter for letter in PRINTABLE if letter not in named] if negated else named


def _of_member(kind: str, value: Any) -> list[str]:
    if kind == "RANGE":
        return [chr(code) for code in range(value[0], min(value[1], value[0] + 255) + 1)]
    if kind == "CATEGORY":
        return list(CATEGORIES[str(value)])
    return [chr(value)] if kind == "LITERAL" else []
