"""What every source yields, and what a source is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a source: the fields of a request as far as the source states them, or what is wrong with it.

    `place` tells a person where it stands. `raw` changes when the entry does. `size` is how many bytes of the source
    it took, 0 where the source does not know its own length.
    """

    location: str
    raw: bytes
    fields: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    size: int = 0


class BulkSource(Protocol):
    """`location` names the source the same way every time; `size` is its length in bytes where that is known."""

    location: str
    size: int | None

    def items(self) -> Iterator[Item]:
        """Every entry, in an order that repeats. Raises SourceError when there is nothing to read."""
        ...
