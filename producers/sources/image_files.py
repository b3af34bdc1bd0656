"""Chooses the images among the files of a folder or a bucket, and keeps count of the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sightstream.schemas.image_formats import IMAGE_ENDINGS, ending_of, format_of

NO_ENDING = "without an ending"
_NAMED = 3  # of each kind
_MAX_KINDS = 20


@dataclass(slots=True)
class Skipped:
    """What a source passed over: how many files of each kind (their ending, mostly), and the names of the first."""

    counts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        if kind not in self.counts and len(self.counts) >= _MAX_KINDS:
            kind = "other"
        self.counts[kind] = self.counts.get(kind, 0) + 1
        named = self.names.setdefault(kind, [])
        if len(named) < _NAMED:
            named.append(name)

    def __str__(self) -> str:
        most_first = sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return "; ".join(f"{count} {kind} ({self._examples(kind, count)})" for kind, count in most_first)

    def _examples(self, kind: str, count: int) -> str:
        return ", ".join(self.names[kind]) + (", ..." if count > len(self.names[kind]) else "")


def is_image(name: str, read_start: Callable[[], bytes], skipped: Skipped) -> bool:
    """Return whether to take a file: by its ending, or by its first bytes where it has none. Others are counted."""
    ending = ending_of(name)
    if ending in IMAGE_ENDINGS or (not ending and format_of(read_start()) is not None):
        return True
    skipped.add(ending or NO_ENDING, name)
    return False
