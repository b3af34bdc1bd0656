"""Text to `Answer`: the four sections of LLaVA-CoT, and the ways in which models deviate from them.

In order of trust: `<SUMMARY>` tags, "(Here begins the SUMMARY stage)" markers, `SUMMARY:` headings. A section runs to
its own end, to the next section's start, or to the end of the text. Text without any section is the conclusion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.result import Answer

SECTIONS = ("SUMMARY", "CAPTION", "REASONING", "CONCLUSION")

_NAMES = "|".join(SECTIONS)
_STYLES = (
    (rf"<\s*({_NAMES})\s*>", r"<\s*/\s*{name}\s*>"),
    (rf"\(\s*Here begins the ({_NAMES}) stage\s*\)", r"\(\s*Here ends the {name} stage\s*\)"),
    (rf"^[ \t#*-]*+({_NAMES})\**[ \t]*:\**", r"(?!)"),
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
    for opening, closing in _STYLES:
        sections = _sections(clean, opening, closing)
        if sections:
            break
    else:
        sections = {"CONCLUSION": clean.strip()}
    answer = Answer(**{name.lower(): body for name, body in sections.items()})
    return ParsedAnswer(answer, complete=all(sections.get(name) for name in SECTIONS))


def _sections(text: str, opening: str, closing: str) -> dict[str, str]:
    """The first body that is not empty of each section found."""
    starts = list(re.finditer(opening, text, re.IGNORECASE | re.MULTILINE))
    ends = [*(match.start() for match in starts), len(text)][1:]
    found: dict[str, str] = {}
    for match, end in zip(starts, ends, strict=True):
        name = match.group(1).upper()
        body = re.split(closing.format(name=name), text[match.end() : end], maxsplit=1, flags=re.IGNORECASE)[0]
        found[name] = found.get(name) or body.strip()
    return found
