"""Fills the placeholders of a question: `{title}` stands for the row's column `title`, `{{` and `}}` for braces."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Read once from left to right, so the text of a column is never read for placeholders itself.
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}\x00-\x1f\x7f]{1,64})\}|[{}]")


class MissingColumn(KeyError):
    """The row has no such column; the only argument is its name."""


def check_braces(text: str) -> None:
    """Raise ValueError where a brace belongs to no placeholder. Linear in the text's length."""
    for match in _BRACES.finditer(text):
        if match[0] in ("{", "}"):
            raise ValueError(
                f"the {match[0]} at character {match.start() + 1} belongs to no placeholder; write a column's name in "
                f"braces, or {match[0] * 2} for the character itself"
            )


def has_braces(text: str) -> bool:
    """Return whether filling changes anything."""
    return "{" in text or "}" in text


def columns(text: str) -> tuple[str, ...]:
    """Return the names of the columns that `text` needs, each once, in order."""
    return tuple(dict.fromkeys(match[1] for match in _BRACES.finditer(text) if match[1] is not None))


def fill(text: str, row: Mapping[str, str]) -> str:
    """Return `text` with the row's values, which stand in it as they are. Raises MissingColumn."""

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        if match[1] not in row:
            raise MissingColumn(match[1])
        return row[match[1]]

    return _BRACES.sub(value, text)
