"""The words of code and docs: plain phrases, and one meaning for each name (docs/contributing/style.md)."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("schemas", "producers", "pipeline", "consumers", "infra", "sightstream", "tests")
DRAWINGS = ("infra/lab", "tests/infra/lab", "tests")  # where images are drawn, or made for a test
ITSELF = Path(__file__)

AMOUNT = r"(?:ms|us|s|seconds?|bytes?|[KMGT]i?B|GB|tokens?|pages?|microseconds?|milliseconds?|CPU|calls?)"
PHRASES = {  # (?i) where a capital at the start of a sentence does not matter
    "a duty in the passive": r"(?i)\b(?:is|are|was|were)\s+to\s+be\b",
    "held to be": r"(?i)\bheld\s+to\s+be\b",
    "in vain": r"(?i)\bin\s+vain\b",
    "reckon": r"(?i)\breckon(?:s|ed|ing)?\b",
    "mend": r"(?i)\bmend(?:s|ed|ing)?\b",
    "the books": r"(?i)\bthe books\b",
    "a step for per step": rf"(?i)\b{AMOUNT} an? (?:slot|step|image|token|page|tile|request|record|second|layer)\b",
    "Of a ...:": r"(?:\"\"\"|# |\. )Of an? [^:.\n]*:",
    "what is told": r"(?i)\b(?:what|all that) (?:is|was|were) (?:told|said)\b",
    "Who for a thing": r"(?:\"\"\"|# )Who(?:ever)? ",
}

# A name that holds one of these words is not clear to a reader from the field: it had several meanings here, or another
# one elsewhere. The exceptions are contracts: what stands on the wire, or a library's own name.
WORDS = {
    "take", "takes", "taken", "taking", "room", "rooms", "settle", "settles", "settled", "unsettled", "share", "shares",
    "place", "places", "arena", "outbox", "lane", "lanes", "flyer",
    "guilty", "accused", "verdict", "fate", "patience", "recipe", "cooked", "unsure", "watchdog", "contestant",
    "contestants", "garbled", "worn", "rehearse", "dialler",
}  # fmt: skip
EXCEPTIONS: dict[str, str] = {
    "TAKE": "Stage.TAKE is the wire's name of a dead letter's stage",
    "REQUESTS_TAKEN": "named like its metric, which dashboards read",
    "lane": "the wire's name of a reserved field of a request",
    "in_place": "Pillow's own argument",
}
DRAWING_WORDS = {"draw", "draws", "drawn", "picture", "pictures"}


def sources() -> list[Path]:
    return sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py") if path != ITSELF)


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").rglob("*.md")])


@pytest.mark.parametrize("name", PHRASES)
def test_no_page_and_no_source_has_the_phrase(name: str) -> None:
    pattern = re.compile(PHRASES[name])
    assert [hit for path in [*sources(), *pages()] for hit in hits(path, pattern)] == []


def hits(path: Path, pattern: re.Pattern[str]) -> Iterator[str]:
    """Each match, with its file and line. A phrase may go on in the next line of a paragraph or of a comment."""
    text = path.read_text(encoding="utf-8")
    for match in pattern.finditer(re.sub(r"\n[ \t]*(?:# )?(?=\w)", lambda gap: " " * len(gap[0]), text)):
        yield f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"


def parts(name: str) -> set[str]:
    """`SharedMemoryPool.allocate_block` is shared, memory, pool, allocate, block."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def names(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def test_names_have_one_meaning() -> None:
    assert [hit for path in sources() for hit in unclear_names(path)] == []


def unclear_names(path: Path) -> Iterator[str]:
    relative = path.relative_to(ROOT).as_posix()
    banned = WORDS if relative.startswith(DRAWINGS) else WORDS | DRAWING_WORDS
    if parts(path.stem) & banned:
        yield relative
    for line, name in names(path):
        is_sentence = name.startswith("test_")
        if name not in EXCEPTIONS and not is_sentence and parts(name) & banned:
            yield f"{relative}:{line}: {name}"


def test_the_walk_sees_the_words() -> None:
    assert parts("HTTPRoom_of.takeAway2") == {"http", "room", "of", "take", "away"}
    assert re.search(PHRASES["a step for per step"], "12 ms a step")
    assert not re.search(PHRASES["a step for per step"], "it begins a step")
    assert re.search(PHRASES["Of a ...:"], '"""Of a kind: this."""')
