"""Defines the entries that every source yields, and the interface of a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sightstream.producers.sources.image_files import Skipped


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a source: the fields of a request as far as the source states them, or what is wrong with it.

    `location` says where in the source it is, for messages. `raw` changes when the entry does. `size` is its length in
    bytes, 0 where the source does not know its own length.
    """

    location: str
    raw: bytes
    fields: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    size: int = 0


class BulkSource(Protocol):
    """A bulk input. `location` is the same in every run; `size` is its length in bytes where that is known.

    `skipped` counts the files that were passed over so far.
    """

    location: str
    size: int | None
    skipped: Skipped

    def items(self) -> Iterator[Item]:
        """Yield every entry, in an order that repeats. Raises SourceError when the source can't be read."""
        ...
