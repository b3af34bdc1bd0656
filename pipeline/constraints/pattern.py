"""Translates the patterns of a schema for llguidance, so that it means by them no more than the check does.

Both know regular expressions of Rust, and differ in what a schema's own (ECMA-262) mean by a space, or by a dot. The
translation is the narrower of the two. What one of them would read in another way is refused.
"""

from __future__ import annotations

import re

_ATOMS = re.compile(
    r"\\(?:[dDwWsSnrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[pP]\{[A-Za-z_]{1,30}(?:=[A-Za-z_]{1,30})?\}|[^A-Za-z0-9\s])"
    r"|\(\?:|\[\^?|.",
    re.DOTALL,
)
_OUTSIDE = {".": r"[^\n\r\u{2028}\u{2029}]", r"\s": r"[ \t\n\r]", r"\S": r"[^\s\u{85}\u{FEFF}]"}
_IN_SET = {r"\s": r" \t\n\r"}
_IN_COMPLEMENT = {r"\s": r"\s\u{85}\u{FEFF}"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def translate_pattern(pattern: str) -> str:
    """Return the pattern for llguidance. Raises ValueError, with what is not supported, for what both may not read."""
    translation = _Translation(pattern)
    for match in _ATOMS.finditer(pattern):
        translation.add(match)
    return "".join(translation.parts)


def has_control_characters(text: str) -> bool:
    """Return whether the text holds characters that are never written in an answer: all but tab and ends of lines."""
    return _CONTROL.search(text) is not None


class _Translation:
    """Goes through a pattern, atom by atom."""

    def __init__(self, pattern: str) -> None:
        self.parts: list[str] = []
        self._pattern = pattern
        self._depth = 0
        self._set: str | None = None  # how the set of characters began that is open
        self._before = ""

    def add(self, match: re.Match[str]) -> None:
        atom = match[0]
        if atom == "\\" or has_control_characters(_character(atom)):
            raise ValueError(f"{self._pattern[match.start() : match.start() + 2]!r} is not supported")
        if self._set is None:
            self._add_outside(atom, match)
        else:
            self._add_in_set(atom)
        self._before = atom

    def _add_outside(self, atom: str, match: re.Match[str]) -> None:
        behind = self._pattern[match.end() : match.end() + 1]
        if atom == "(" and behind == "?":
            raise ValueError(f"{self._pattern[match.start() : match.start() + 3]!r} is not supported, only (?:")
        if atom == "^" and (self._depth or self._before not in ("", "|") or behind in set("*+?{")):
            raise ValueError("^ is only supported at the start")
        if atom == "$" and (self._depth or behind not in ("", "|")):
            raise ValueError("$ is only supported at the end")
        self._depth += (atom in ("(", "(?:")) - (atom == ")")
        self._set = atom if atom.startswith("[") else None
        self.parts.append(_OUTSIDE.get(atom, atom))

    def _add_in_set(self, atom: str) -> None:
        if atom.startswith("[") or (atom == self._before and atom in "&-~"):
            raise ValueError(f"{atom!r} inside [...] is not supported; write \\ before it")
        if atom == r"\S" or (atom == "]" and self._before == self._set):
            raise ValueError(f"{atom!r} inside [...] is not supported")
        self.parts.append((_IN_SET if self._set == "[" else _IN_COMPLEMENT).get(atom, atom))
        if atom == "]":
            self._set = None


def _character(atom: str) -> str:
    """Return the character that an escape by number stands for, else the atom."""
    return chr(int(atom[2:], 16)) if re.fullmatch(r"\\[xu][0-9a-fA-F]+", atom) else atom
