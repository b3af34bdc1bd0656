"""The pages of the documentation, and the parts of them that tests execute or check."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


def pages() -> list[Path]:
    """Every page that people read: at the top of the repository, in docs/ and in infra/."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").rglob("*.md")])


def name(page: Path) -> str:
    """The page's path from the repository's top, as tests report it."""
    return page.relative_to(ROOT).as_posix()


@cache
def text(page: Path) -> str:
    """The page's text."""
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text(page))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks in this language, in order."""
    return [body for tag, body in _FENCE.findall(text(page)) if tag == language]


def links(page: Path) -> list[str]:
    """The targets of links and images, in order."""
    return [target or source for target, source in _LINK.findall(prose(page))]


def anchors(page: Path) -> set[str]:
    """The fragments that a link may name: one for each heading, as GitHub derives it."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
