"""The mutants: each an edit that breaks the product on purpose, and the tests that must notice."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("mutants.toml")
EXACTLY_ONCE, SECURITY = "exactly-once", "security"
INVARIANT = re.compile(r"I[1-8]\b")


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces `before`, which stands exactly once in `file`, by `after`."""

    file: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Killer:
    """A test that must fail, with `words` in its failure: a crash for another reason proves nothing.

    `words` that begin with an invariant's name come from the checker, which reads a real broker's topics.
    """

    test: str
    words: str

    @property
    def names_invariant(self) -> bool:
        return INVARIANT.match(self.words) is not None


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault in the product. `harm` says what it costs, and when; `breaks` names the promise."""

    name: str
    harm: str
    edits: tuple[Edit, ...]
    killers: tuple[Killer, ...]
    breaks: str = EXACTLY_ONCE


def read_catalogue(file: Path = FILE) -> list[Mutant]:
    """Return all mutants. Raises KeyError or TypeError for an entry that is not complete."""
    entries = tomllib.loads(file.read_text(encoding="utf-8"))["mutant"]
    return [
        Mutant(
            name=entry["name"],
            harm=entry["harm"],
            edits=tuple(Edit(**edit) for edit in entry["edit"]),
            killers=tuple(Killer(**killer) for killer in entry["killed_by"]),
            breaks=entry.get("breaks", EXACTLY_ONCE),
        )
        for entry in entries
    ]


def choose(mutants: list[Mutant], names: list[str]) -> list[Mutant]:
    """Return the mutants of these names, all of them without any. Raises LookupError for an unknown name."""
    known = {mutant.name: mutant for mutant in mutants}
    if unknown := [name for name in names if name not in known]:
        raise LookupError(f"no mutant is named {', '.join(unknown)}; these are: {', '.join(known)}")
    return [known[name] for name in names] or mutants
