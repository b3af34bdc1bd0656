"""Text to `Answer`: the four sections of LLaVA-CoT, and the ways in which models deviate from them.

In order of trust: `<SUMMARY>` tags, "(Here begins the SUMMARY stage)" markers, `SUMMARY:` headings. A section runs to
its own end; one that is never closed, to the next section's start or to the end of the text. Text without any section
is the conclusion.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass

from sightstream.schemas.wire.result import Answer

SECTIONS = ("SUMMARY", "CAPTION", "REASONING", "CONCLUSION")

_NAMES = "|".join(SECTIONS)
_FLAGS = re.IGNORECASE | re.MULTILINE


@dataclass(frozen=True, slots=True)
class _Style:
    """How a section is opened, its name the first group; and closed, by name."""

    opening: re.Pattern[str]
    closings: dict[str, re.Pattern[str]]

    @classmethod
    def of(cls, opening: str, closing: str) -> _Style:
        closings = {name: re.compile(closing.format(name=name), _FLAGS) for name in SECTIONS}
        return cls(re.compile(opening, _FLAGS), closings)


_STYLES = (
    _Style.of(rf"<\s*({_NAMES})\s*>", r"<\s*/\s*{name}\s*>"),
    _Style.of(rf"\(\s*Here begins the ({_NAMES}) stage\s*\)", r"\(\s*Here ends the {name} stage\s*\)"),
    _Style.of(rf"^[ \t#*-]*+({_NAMES})\**[ \t]*:\**", r"(?!)"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """`complete` says that all four sections are there and not empty."""

    answer: Answer
    complete: bool


def parse(text: str) -> ParsedAnswer:
    """Never raises, whatever the model said."""
    clean = _CONTROL.sub("", text)
    for style in _STYLES:
        sections = _sections(clean, style)
        if sections:
            break
    else:
        sections = {"CONCLUSION": clean.strip()}
    answer = Answer(**{name.lower(): body for name, body in sections.items()})
    return ParsedAnswer(answer, complete=all(sections.get(name) for name in SECTIONS))


def _sections(text: str, style: _Style) -> dict[str, str]:
    """The first body that is not empty of each section found; a tag that is spoken of within a body is part of it."""
    starts = list(style.opening.finditer(text))
    names = [match.group(1).upper() for match in starts]
    ends = {name: [match.start() for match in style.closings[name].finditer(text)] for name in set(names)}
    again = {
        name: [match.start() for match, other in zip(starts, names, strict=True) if other == name] for name in ends
    }
    found: dict[str, str] = {}
    reached = 0
    for number, (match, name) in enumerate(zip(starts, names, strict=True)):
        if match.start() < reached or name in found:
            continue
        end = _after(ends[name], match.end(), len(text) + 1)
        if end > _after(again[name], match.end(), len(text)):  # never closed: the next section closes it
            later = (at for at in range(number + 1, len(starts)) if names[at] not in found)
            end = next((starts[at].start() for at in later), len(text))
        if body := text[match.end() : end].strip():
            found[name], reached = body, end
    return found


def _after(positions: list[int], least: int, otherwise: int) -> int:
    """The first of the ascending `positions` that is not below `least`."""
    index = bisect_left(positions, least)
    return positions[index] if index < len(positions) else otherwise
