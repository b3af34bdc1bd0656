"""Parses text into an `Answer`: the four sections of LLaVA-CoT, and the ways in which models deviate from them.

In order of trust: `<SUMMARY>` tags, "(Here begins the SUMMARY stage)" markers, `SUMMARY:` headings. A section extends
to its own closing tag; without one, to the start of the next section or to the end of the text. Text without any
section is the conclusion.
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
    """The patterns that open a section, with its name as first group, and that close it, by name."""

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
# What models write nearly always: four sections in order, and no "<" within them. The first style reads the same.
_USUAL = re.compile(r"\s*".join(["", *(rf"<{name}>([^<]*+)</{name}>" for name in SECTIONS), ""]))
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """An answer; `complete` says whether all four sections are present and not empty."""

    answer: Answer
    complete: bool


def parse(text: str) -> ParsedAnswer:
    """Return the answer in a model's text. Never raises, whatever the text is."""
    clean = _CONTROL.sub("", text)
    sections = _usual_sections(clean) or _any_sections(clean)
    answer = Answer(**{name.lower(): body for name, body in sections.items()})
    return ParsedAnswer(answer, complete=all(sections.get(name) for name in SECTIONS))


def _usual_sections(text: str) -> dict[str, str]:
    match = _USUAL.fullmatch(text)
    bodies = [body.strip() for body in match.groups()] if match else []
    return dict(zip(SECTIONS, bodies, strict=True)) if bodies and all(bodies) else {}


def _any_sections(text: str) -> dict[str, str]:
    for style in _STYLES:
        if sections := _sections(text, style):
            return sections
    return {"CONCLUSION": text.strip()}


def _sections(text: str, style: _Style) -> dict[str, str]:
    """Return the first body of each section that is not empty; a tag that is mentioned within a body is part of it."""
    starts = list(style.opening.finditer(text))
    names = [match.group(1).upper() for match in starts]
    ends = {name: [match.start() for match in style.closings[name].finditer(text)] for name in set(names)}
    reopened = {
        name: [match.start() for match, other in zip(starts, names, strict=True) if other == name] for name in ends
    }
    bodies: dict[str, str] = {}
    reached = 0
    for number, (match, name) in enumerate(zip(starts, names, strict=True)):
        if match.start() < reached or name in bodies:
            continue
        end = _after(ends[name], match.end(), len(text) + 1)
        if end > _after(reopened[name], match.end(), len(text)):  # never closed: the next section closes it
            later = (at for at in range(number + 1, len(starts)) if names[at] not in bodies)
            end = next((starts[at].start() for at in later), len(text))
        if body := text[match.end() : end].strip():
            bodies[name], reached = body, end
    return bodies


def _after(positions: list[int], least: int, otherwise: int) -> int:
    """Return the first of the ascending `positions` that is at least `least`."""
    index = bisect_left(positions, least)
    return positions[index] if index < len(positions) else otherwise
