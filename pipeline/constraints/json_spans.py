"""Finds where the plain values of a JSON text stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_STRING = rb'"(?:[^"\\]|\\.)*"'
_PARTS = re.compile(
    rb"\s*(?:(?P<text>" + _STRING + rb")|(?P<mark>[\[\]{},:])|(?P<plain>[^\s\[\]{},:\"]+)|(?P<open>\"))", re.DOTALL
)
_WORDS = frozenset({b"true", b"false", b"null"})


@dataclass(frozen=True, slots=True)
class Span:
    """A plain value, by its JSON Pointer, and the bytes that it was written in.

    They go up to where the value ends for certain: a number has ended when the character behind it is there.
    """

    pointer: str
    start: int
    end: int


@dataclass(slots=True)
class _Level:
    """An open object, with the key of the value that comes next, or an open array, with its index."""

    is_object: bool
    step: str | int | None


def find_spans(text: bytes) -> Iterator[Span]:
    """Yield the plain values in their order. The text must be JSON; where it is cut, only whole values are found."""
    levels: list[_Level] = []
    for part in _PARTS.finditer(text):
        if part["mark"] is not None:
            _follow(levels, part["mark"])
        elif levels and levels[-1].is_object and levels[-1].step is None:
            levels[-1].step = json.loads(part["text"] or b'""')
        elif _is_whole(part, is_inside=bool(levels)):
            yield _span(levels, part)
        else:
            return


def _follow(levels: list[_Level], mark: bytes) -> None:
    if mark in b"[{":
        levels.append(_Level(True, None) if mark == b"{" else _Level(False, 0))
    elif mark in b"]}" and levels:
        levels.pop()
    elif mark == b"," and levels:
        step = levels[-1].step
        levels[-1].step = step + 1 if isinstance(step, int) else None


def _is_whole(part: re.Match[bytes], *, is_inside: bool) -> bool:
    """Return whether the value has ended; a number inside an object or array has when something stands behind it."""
    if part["plain"] is None:
        return part["text"] is not None
    return part["plain"] in _WORDS or (_is_number(part["plain"]) and not (is_inside and part.end() == len(part.string)))


def _is_number(plain: bytes) -> bool:
    return plain[:1] in b"-0123456789"


def _span(levels: list[_Level], part: re.Match[bytes]) -> Span:
    group = "text" if part["text"] is not None else "plain"
    start, end = part.span(group)
    is_number = part["plain"] is not None and _is_number(part["plain"])
    pointer = "".join(f"/{_escaped(str(level.step))}" for level in levels)
    return Span(pointer, start, end + is_number)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
